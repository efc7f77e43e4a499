import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../support/postgres.ts'

const READY_WITHIN_MS = 60_000

/**
 * The build in an empty folder with an empty environment, on the embedded database.
 *
 * @param env of settings, given the URL that it will have
 */
export async function startBuilt(
  env: (url: string) => Promise<Record<string, string>> = () => Promise.resolve({}),
): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-browser-'))
  const { PATH, HOME } = process.env
  const port = String(await freePort())
  const url = `http://localhost:${port}`
  const settings = await env(url)
  const child = spawn(process.execPath, ['--enable-source-maps', join(process.cwd(), 'dist/server.js')], {
    cwd: folder,
    env: { PATH, HOME, PORT: port, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    process.off('exit', kill)
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }

  const isReady = () =>
    fetch(`${url}/health/ready`).then(
      (answer) => answer.ok,
      () => false,
    )
  for (const end = Date.now() + READY_WITHIN_MS; !(await isReady()); await pause(50))
    if (child.exitCode !== null || Date.now() > end) {
      await stop()
      throw new Error(`not ready: ${output}`)
    }
  return { url, stop }
}
