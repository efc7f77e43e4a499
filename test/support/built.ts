import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { buildIfChanged } from './build.ts'
import { TIMEOUT_MS, createDatabase } from './database.ts'
import { type ThrowawayPostgres, freePort, startPostgres } from './postgres.ts'

/** The built service on a PostgreSQL, for programs that ask it from outside. */
export interface Built {
  readonly url: string
}

/**
 * Nothing that tries many things from one address would get far with limits on tries. A machine that is busy with those
 * that ask is not a database that is away.
 */
const SETTINGS = {
  ENVIRONMENT: 'local',
  RATE_LIMIT_ENABLED: 'false',
  LOG_LEVEL: 'error',
  DATABASE_TIMEOUT_MS: String(TIMEOUT_MS),
}

/**
 * Builds the service, and has it run as often as asked for, each on a database of its own, while `use` goes on.
 * All is gone afterwards, however that ends.
 */
export async function withBuilt<T>(
  count: number,
  use: (services: Built[], postgres: ThrowawayPostgres) => Promise<T>,
): Promise<T> {
  buildIfChanged()
  const postgres = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-built-'))
  const children: ChildProcess[] = []
  const killAll = () => children.forEach((child) => child.kill('SIGKILL'))
  process.once('exit', killAll)
  try {
    const starts = Array.from({ length: count }, async () => {
      const DATABASE_URL = await createDatabase(postgres.url)
      const port = await freePort()
      const child = spawn('node', ['--enable-source-maps', resolve('dist/server.js')], {
        cwd: folder,
        env: { PATH: process.env.PATH, ...SETTINGS, PORT: String(port), DATABASE_URL },
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      children.push(child)
      return ready(`http://127.0.0.1:${port}`, child)
    })
    return await use(await Promise.all(starts), postgres)
  } finally {
    await Promise.all(children.map(stopped))
    process.off('exit', killAll)
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function ready(url: string, child: ChildProcess): Promise<Built> {
  for (const deadline = Date.now() + 60_000; ;) {
    const isReady = await fetch(`${url}/health/ready`).then(
      (answer) => answer.ok,
      () => false,
    )
    if (isReady) return { url }
    if (child.exitCode !== null || Date.now() > deadline) throw new Error('the built service does not start')
    await new Promise((done) => setTimeout(done, 25))
  }
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
