import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePort } from './postgres.ts'

/** As a balancer is set up in front of replicas: connections kept open, and a write is never sent twice. */
const configOf = (folder: string, port: number, replicas: readonly string[]) => `
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  upstream service {
    ${replicas.map((url) => `server ${new URL(url).host} fail_timeout=1s;`).join('\n    ')}
    keepalive 16;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_connect_timeout 1s;
      proxy_next_upstream error timeout;
    }
  }
}
`

/**
 * nginx in front of replicas, on loopback; it ends with the test.
 *
 * @returns its URL, and what it has to say about errors
 */
export async function startNginx(t: Test, replicas: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-nginx-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  writeFileSync(join(folder, 'nginx.conf'), configOf(folder, port, replicas))
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = once(nginx, 'exit')
  const kill = () => nginx.kill('SIGTERM')
  process.once('exit', kill)
  t.teardown(async () => {
    process.off('exit', kill)
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true })
  })
  for (const end = Date.now() + 10_000; !(await listens(port)); await pause(20))
    if (Date.now() > end || nginx.exitCode !== null) throw new Error('nginx does not start')
  return {
    url: `http://127.0.0.1:${port}`,
    errors: () => readFileSync(join(folder, 'error.log'), 'utf8'),
  }
}

const listens = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
    socket.on('error', () => resolve(false))
  })
