import { setTimeout as pause } from 'node:timers/promises'
import type { Sql } from 'postgres'
import type { Config } from '../config/config.ts'
import { throughPooler } from '../config/database/session-parameters.ts'
import { openPostgres, quiet } from '../database/pool/open-postgres.ts'
import { type Send, inTransaction } from '../database/pool/transaction.ts'

interface Opened {
  readonly client: Sql
  /** How often its connection was closed. */
  readonly losses: () => number
}

/** Connections opened beside the tested one, to take its server connection away. */
const OTHERS = 10

/** How long the doctor holds connections; a start, which shares the pooler with requests, does so for less. */
const HOLD_MS = 3_000
const CONNECT_SECONDS = 5

export const POOLER_FAULT =
  'keeps no prepared statements: they are gone, or another client’s, in the next transaction'
export const POOLER_FIX =
  'set max_prepared_statements = 200 in PgBouncer 1.21 or later, or use its session mode'

/**
 * For a start: says whether DATABASE_URL leads to a pooler that the service can't work with. Requests go on meanwhile, so
 * it holds connections for half of what a statement may take.
 *
 * @returns a line that names the fix; undefined where nothing is wrong, or nothing could be found out
 */
export async function poolerDoubt(config: Config): Promise<string | undefined> {
  const { DATABASE_URL: url, DATABASE_TIMEOUT_MS } = config
  if (url === undefined || !(await mayBePooled(config))) return undefined
  if (await keepsPreparedStatements(url, DATABASE_TIMEOUT_MS / 2)) return undefined
  return `DATABASE_URL leads to a pooler that ${POOLER_FAULT}. Fix: ${POOLER_FIX}.`
}

/** Whether there may be a pooler: there is a direct connection beside, or somebody else answers for PostgreSQL. */
export async function mayBePooled({ DATABASE_URL: url, MIGRATION_DATABASE_URL: direct = url }: Config) {
  return url !== undefined && (direct !== url || isAnsweredByPooler(url))
}

/** A pooler gives its clients a process id of its own, for cancelling, in place of the server's. */
async function isAnsweredByPooler(url: string): Promise<boolean> {
  const { client } = open(url)
  try {
    const rows = await client.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid')
    return rows[0]?.pid !== rows.state.pid
  } catch {
    return false
  } finally {
    await client.end({ timeout: 1 })
  }
}

/** SQLSTATE: the statement does not exist, or another client prepared one of that name. */
const LOST = new Set(['26000', '42P05'])

const STATEMENT = 'select pg_backend_pid() as pid, $1::text as text'

/**
 * Prepares a statement, keeps its server connection busy, and executes the statement on another one: in a transaction, as
 * postgres.js prepares a lost statement again outside of one.
 *
 * @param holdMs how long connections may be held for it
 * @returns true also if it can't be tested (the pooler has one server connection, or is away)
 */
export async function keepsPreparedStatements(url: string, holdMs = HOLD_MS): Promise<boolean> {
  const [asking, ...others] = Array.from({ length: OTHERS + 1 }, () => open(url)) as [Opened, ...Opened[]]
  const run = (send: Send) => send<{ pid: number }[]>(STATEMENT, ['a'], { prepare: true })
  const end = new AbortController()
  /** Holds a server connection until the end. */
  const hold = ({ client, losses }: Opened) =>
    new Promise<number>((resolve, reject) => {
      const held = inTransaction(client, losses, async (send) => {
        const [own] = await send<{ pid: number }[]>('select pg_backend_pid() as pid')
        resolve(own!.pid)
        await new Promise((done) => end.signal.addEventListener('abort', done))
      })
      held.catch(reject)
    })
  async function executeElsewhere(pid: number | undefined) {
    for (const other of others) {
      const held = await hold(other)
      if (held === pid) break
    }
    await inTransaction(asking.client, asking.losses, (send) => run(send))
    return true
  }
  async function tryIt() {
    const [first] = await run(asking.client.unsafe)
    return orTrue(executeElsewhere(first?.pid), holdMs)
  }
  try {
    return await orTrue(tryIt(), CONNECT_SECONDS * 1000 + holdMs)
  } catch (error) {
    return !LOST.has(String((error as { code?: string }).code))
  } finally {
    end.abort()
    await Promise.all([asking, ...others].map(({ client }) => client.end({ timeout: 1 })))
  }
}

const orTrue = (work: Promise<boolean>, ms: number) => Promise.race([work, pause(ms, true, { ref: false })])

function open(url: string): Opened {
  let losses = 0
  const client = openPostgres(url, {
    max: 1,
    onclose: () => (losses += 1),
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    connection: throughPooler,
  })
  return { client, losses: () => losses }
}
