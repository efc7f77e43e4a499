import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { TIMEOUT_MS, createDatabase, dropDatabase, onPostgres, pooled } from './database.ts'
import { unpackInto } from './dumps.ts'
import { freePort } from './postgres.ts'

/** The service as people run it: a process of its own, in a folder of its own, with nothing but what it is given. */
export interface Running {
  readonly url: string
  readonly child: ChildProcess
  /** What it printed so far, both streams together. */
  output(): string
  /** Resolves when it has printed `text`; rejects when it ends without. */
  printed(text: string): Promise<void>
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
}

export interface ProcessOptions {
  /** Working folder; DATA_DIR is `data` below it. */
  readonly folder: string
  readonly env?: Record<string, string>
  /** Runs another file of src. */
  readonly script?: string
  /** What follows its name. */
  readonly args?: readonly string[]
  /** The folder of the build to run; where left out `dist`, or src itself where coverage is measured. */
  readonly build?: string | undefined
}

const root = process.cwd()

/** A first start on the embedded database takes 5 s of one core, and a suite may leave it a quarter of one. */
const READY_WITHIN_MS = 60_000

/** A folder that goes when the test ends. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-process-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  return folder
}

/** One with an embedded database in it, for tests that are not about how that is made. */
export async function folderWith(t: Test, database: 'empty' | 'migrated'): Promise<string> {
  const folder = temporaryFolder(t)
  if (!onPostgres) await unpackInto(folder, database)
  return folder
}

/** What a process needs for a new database: in the PostgreSQL under test where there is one, or embedded. */
export async function databaseEnv(t: Test): Promise<Record<string, string>> {
  const server = process.env.TEST_DATABASE_URL
  if (server === undefined) return {}
  const url = await createDatabase(server)
  t.teardown(() => dropDatabase(server, url))
  return {
    DATABASE_URL: pooled(url),
    MIGRATION_DATABASE_URL: url,
    DATABASE_TIMEOUT_MS: String(TIMEOUT_MS),
  }
}

const sourceArgs = (script: string) => [
  `--import=${pathToFileURL(join(root, 'test/support/typescript.mjs')).href}`,
  join(root, 'src', script),
]
const builtArgs = (script: string, folder: string) => [
  '--enable-source-maps',
  join(folder, script.replace(/\.ts$/, '.js')),
]

/** Starts the process and does not wait. It is killed when the test ends. */
export async function launch(
  t: Test,
  { folder, env = {}, script = 'server.ts', args = [], build }: ProcessOptions,
): Promise<Running> {
  const port = env.PORT ?? String(await freePort())
  const { PATH, HOME, TEST_FROM_SOURCE } = process.env
  const from = build ?? (TEST_FROM_SOURCE ? undefined : join(root, 'dist'))
  const child = spawn(
    process.execPath,
    [...(from === undefined ? sourceArgs(script) : builtArgs(script, from)), ...args],
    {
      cwd: folder,
      env: { PATH, HOME, PORT: port, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  t.teardown(async () => {
    kill()
    await exited
  })
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    output: () => text,
    exited,
    async printed(expected) {
      while (!text.includes(expected)) {
        const ended = await Promise.race([once(child.stdout, 'data').then(() => false), exited])
        if (ended !== false && !text.includes(expected)) throw new Error(`never printed ${expected}: ${text}`)
      }
    },
  }
}

/** Starts the process and waits until it may be sent requests. */
export async function start(t: Test, options: ProcessOptions): Promise<Running> {
  const running = await launch(t, options)
  const deadline = Date.now() + READY_WITHIN_MS
  while (!(await isReady(running.url))) {
    const ended = await Promise.race([running.exited, pause(25)])
    if (ended !== undefined || Date.now() > deadline) throw new Error(`not ready: ${running.output()}`)
  }
  return running
}

const isReady = (url: string) =>
  fetch(`${url}/health/ready`).then(
    (answer) => answer.ok,
    () => false,
  )

/**
 * Signs in as the first superuser.
 *
 * @returns the headers of requests in that session
 */
export async function signIn(
  { url }: Pick<Running, 'url'>,
  username = 'admin@example.com',
  password = 'changethis',
) {
  const answer = await fetch(`${url}/api/v1/login/access-token`, {
    method: 'POST',
    body: new URLSearchParams({ username, password }),
  })
  if (!answer.ok) throw new Error(`signing in: ${answer.status} ${await answer.text()}`)
  const { access_token } = (await answer.json()) as { access_token: string }
  return { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
}
