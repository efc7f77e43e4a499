import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { onPostgres } from './database.ts'
import { freePort, osUser } from './postgres.ts'

export interface Pgbouncer {
  /** Of the maintenance database; others are beside it, as on the server behind. */
  readonly url: string
  readonly version: string
  /** What went through it so far. */
  statistics(): Promise<{ queries: number; databases: number }>
  stop(): Promise<void>
}

/** Prepared statements live through transaction mode since then. */
const OLDEST: readonly [number, number] = [1, 21]

/** One before that, where .ci/pgbouncer could have it. */
export const OLD_PGBOUNCER = '/usr/local/lib/pgbouncer-before-1.21'

/** As it is set up in production: a connection of the server for the time of a transaction, and no longer. */
const configOf = (server: URL, port: number, more: Record<string, string>) => `
[databases]
* = host=${server.hostname} port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
admin_users = postgres
pool_mode = transaction
default_pool_size = 10
max_client_conn = 1000
server_login_retry = 1
${Object.entries(more)
  .map(([name, value]) => `${name} = ${value}`)
  .join('\n')}
`

/**
 * PgBouncer in front of a PostgreSQL, until it is stopped.
 *
 * @param more settings that win over those above
 * @throws Error that names the fix where it is not installed, or too old
 */
export async function startPgbouncer(target: string, more: Record<string, string> = {}): Promise<Pgbouncer> {
  // oxlint-disable-next-line node/no-process-env -- a setting of the tests
  const command = process.env.TEST_PGBOUNCER ?? 'pgbouncer'
  const version = versionOf(command)
  return run(command, version, target, { max_prepared_statements: '200', ...more })
}

/** OLD_PGBOUNCER in front of a PostgreSQL. It does not know `max_prepared_statements`. */
export const startOldPgbouncer = (target: string): Promise<Pgbouncer> =>
  run(OLD_PGBOUNCER, 'before 1.21', target, {})

async function run(
  command: string,
  version: string,
  target: string,
  settings: Record<string, string>,
): Promise<Pgbouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-pgbouncer-'))
  const port = await freePort()
  const as = osUser()
  if (as) chownSync(folder, as.uid, as.gid)
  writeFileSync(join(folder, 'pgbouncer.ini'), configOf(new URL(target), port, settings))
  const child = spawn(command, ['--quiet', join(folder, 'pgbouncer.ini')], { ...as, stdio: 'ignore' })
  const exited = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const url = Object.assign(new URL(target), { port: String(port) }).href
  await untilReady(url)
  return {
    url,
    version,
    statistics: () => statisticsOf(url),
    async stop() {
      process.off('exit', kill)
      kill()
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** For tests of their own pooler: they are skipped where there is none. */
export const needsPgbouncer = {
  skip: (!onPostgres || !isInstalled()) && 'needs PostgreSQL and PgBouncer: npm run test:postgres',
}

function isInstalled(): boolean {
  // oxlint-disable-next-line node/no-process-env -- a setting of the tests
  return spawnSync(process.env.TEST_PGBOUNCER ?? 'pgbouncer', ['--version']).status === 0
}

function versionOf(command: string): string {
  const fix = `PgBouncer ${OLDEST.join('.')} or later is needed: install it, or name it in TEST_PGBOUNCER`
  let text: string
  try {
    text = execFileSync(command, ['--version']).toString()
  } catch (error) {
    throw new Error(fix, { cause: error })
  }
  const [version = '', major = 0, minor = 0] = /(\d+)\.(\d+)\.\d+/.exec(text) ?? []
  if (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]) throw new Error(`${fix}; this is ${version}`)
  return version
}

async function untilReady(url: string) {
  for (const deadline = Date.now() + 30_000; ;) {
    const client = postgres(url, { max: 1, connect_timeout: 2 })
    try {
      await client`select 1`
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      await client.end()
    }
  }
}

/** Its console speaks the simple protocol alone. */
async function statisticsOf(url: string) {
  const console = Object.assign(new URL(url), { pathname: '/pgbouncer' }).href
  const client = postgres(console, { max: 1, fetch_types: false })
  try {
    const rows = await client.unsafe<{ database: string; total_query_count: string }[]>('show stats').simple()
    const databases = rows.filter(({ database }) => database.startsWith('test_'))
    const queries = databases.reduce((sum, { total_query_count }) => sum + Number(total_query_count), 0)
    return { queries, databases: databases.length }
  } finally {
    await client.end()
  }
}
