import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from './postgres.ts'

/** The service as people run it: a process of its own, in a folder of its own, with nothing but what it is given. */
export interface Running {
  readonly url: string
  readonly child: ChildProcess
  /** What it printed so far, both streams together. */
  output(): string
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
}

export interface ProcessOptions {
  /** Working folder; DATA_DIR is `data` below it. */
  readonly folder: string
  readonly env?: Record<string, string>
  /** Runs another file of src. */
  readonly script?: string
}

const root = process.cwd()

/** A folder that goes when the test ends. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-process-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  return folder
}

/** Starts the process and does not wait. It is killed when the test ends. */
export async function launch(
  t: Test,
  { folder, env = {}, script = 'server.ts' }: ProcessOptions,
): Promise<Running> {
  const port = env.PORT ?? String(await freePort())
  const { PATH, HOME, NODE_V8_COVERAGE } = process.env
  const child = spawn(
    process.execPath,
    [`--import=${join(root, 'test/support/typescript.mjs')}`, join(root, 'src', script)],
    {
      cwd: folder,
      env: { PATH, HOME, ...(NODE_V8_COVERAGE && { NODE_V8_COVERAGE }), PORT: port, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { url: `http://127.0.0.1:${port}`, child, output: () => text, exited }
}

/** Starts the process and waits until it may be sent requests. */
export async function start(t: Test, options: ProcessOptions): Promise<Running> {
  const running = await launch(t, options)
  const deadline = Date.now() + 30_000
  while (!(await isReady(running.url))) {
    if (running.child.exitCode !== null || Date.now() > deadline)
      throw new Error(`not ready: ${running.output()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return running
}

const isReady = (url: string) =>
  fetch(`${url}/health/ready`).then(
    (answer) => answer.ok,
    () => false,
  )

/** Signs in as the first superuser. */
export async function signIn(
  { url }: Pick<Running, 'url'>,
  username = 'admin@example.com',
  password = 'changethis',
) {
  const answer = await fetch(`${url}/api/v1/login/access-token`, {
    method: 'POST',
    body: new URLSearchParams({ username, password }),
  })
  const { access_token } = (await answer.json()) as { access_token: string }
  return { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
}
