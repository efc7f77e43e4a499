import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePort } from './postgres.ts'

/** As docs/operations.md has it, with these replicas and on this port; the rest is what lets nginx run without rights. */
const configOf = (folder: string, port: number, replicas: readonly string[]) => `
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  log_format upstreams '$status $upstream_addr $msec $request_time $request_method $uri';
  access_log ${folder}/access.log upstreams;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  ${documented(replicas, port)}
}
`

/** What docs/operations.md tells people to write, for these. */
function documented(replicas: readonly string[], port: number): string {
  const snippet = /```nginx\n(.*?)```/s.exec(readFileSync('docs/operations.md', 'utf8'))?.[1]
  if (snippet === undefined) throw new Error('docs/operations.md has no configuration of nginx')
  const hosts = replicas.values()
  return snippet
    .replaceAll(/10\.0\.0\.\d+:8000/g, () => new URL(hosts.next().value!).host)
    .replace('listen 80', `listen 127.0.0.1:${port}`)
}

/** A request that nginx answered with 5xx. */
export interface Failure {
  readonly status: number
  /** The replica that it was last sent to, as `host:port`. */
  readonly upstream: string
  /** When it came and when it was answered, in milliseconds since the epoch. */
  readonly since: number
  readonly until: number
  readonly what: string
}

function readFailures(log: string): Failure[] {
  const lines = log.split('\n').filter((line) => line.startsWith('5'))
  return lines.map((line) => {
    const [, status, upstreams = '', end, seconds, what = ''] =
      /^(\d+) (.*) (\d+\.\d+) (\d+\.\d+) (\w+ \S+)$/.exec(line) ?? []
    return {
      status: Number(status),
      upstream: upstreams.split(', ').at(-1)!,
      since: (Number(end) - Number(seconds)) * 1000,
      until: Number(end) * 1000,
      what: `${what}: ${line}`,
    }
  })
}

/**
 * nginx in front of replicas, on loopback; it ends with the test.
 *
 * @returns its URL, the requests that failed, and what it has to say about errors
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
  for (const end = Date.now() + 30_000; !(await listens(port)); await pause(20))
    if (Date.now() > end || nginx.exitCode !== null) throw new Error('nginx does not start')
  return {
    url: `http://127.0.0.1:${port}`,
    failures: () => readFailures(readFileSync(join(folder, 'access.log'), 'utf8')),
    errors: () => readFileSync(join(folder, 'error.log'), 'utf8'),
  }
}

const listens = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
    socket.on('error', () => resolve(false))
  })
