import { AsyncResource } from 'node:async_hooks'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres, { type ParameterOrJSON, type Sql } from 'postgres'
import { direct, throughPooler } from '../config/database/session-parameters.ts'
import { isTracing, traced } from '../config/spans.ts'
import { Overloaded } from '../contract/errors.ts'
import type { Connection, Database } from './connect.ts'
import { migrateUnderLock, requireMigrated } from './migrate/migrate.ts'
import {
  CLOSE_SECONDS,
  CONNECT_SECONDS,
  clientForDrizzle,
  named,
  postgresOptions,
  quiet,
} from './pool/open-postgres.ts'
import { type Pool, type PoolLoad, openPool } from './pool/pool.ts'
import { SETTINGS, type Settings, checkSettings } from './pool/session-settings.ts'
import { type Send, inTransaction, savepoints } from './pool/transaction.ts'
import { type Statement, failed, readTime } from './statement.ts'

export interface PostgresOptions {
  readonly url: string
  /** A direct connection, if `url` leads to a pooler. */
  readonly migrationUrl: string
  /** Maximum number of connections, 2 at least. */
  readonly poolSize: number
  /** Statement timeout in milliseconds; 800 by default. */
  readonly timeoutMs?: number
  /** The same for long statements and transactions; `timeoutMs` by default. */
  readonly longTimeoutMs?: number | undefined
  /** Statements sent to a connection before the first is answered; 8 by default. */
  readonly depth?: number | undefined
}

/** How long a start waits for another process that migrates, before it logs so and retries. */
const LOCK_WITHIN_MS = 3_000

/** A client that was discarded while it connected may connect all the same (postgres.js 3.4.9). */
const FORGOTTEN_SECONDS = 120
/** Part of the connections that is for long statements and transactions, so that no short one waits behind them. */
const LONG_SHARE = 0.25

/**
 * PostgreSQL. Connects on first use, reconnects by itself; each statement ends in bounded time (pool/pool.ts).
 *
 * Prepared statements are short by default and share connections: what a short statement costs is mostly that each side is
 * woken for it. Long ones, transactions and the query builder have connections to themselves.
 */
export function connectPostgres(options: PostgresOptions): Connection {
  const { url, migrationUrl, poolSize, timeoutMs = 800, longTimeoutMs = timeoutMs, depth = 8 } = options
  const connect = (runMs: number) => {
    const options = postgresOptions(url, {
      max: 1,
      connect_timeout: CONNECT_SECONDS,
      // The pool closes idle connections before.
      idle_timeout: FORGOTTEN_SECONDS,
      max_lifetime: null,
      ...quiet,
      types,
      connection:
        url === migrationUrl
          ? { ...named, ...direct, ...serverTimeouts(runMs) }
          : { ...named, ...throughPooler },
    })
    return (onclose: () => void): Sql => postgres({ ...options, onclose })
  }
  const longSize = Math.max(1, Math.floor(poolSize * LONG_SHARE))
  const short = openPool(connect(timeoutMs), {
    size: Math.max(1, poolSize - longSize),
    depth,
    runMs: timeoutMs,
  })
  const long = openPool(connect(longTimeoutMs), { size: longSize, depth: 1, runMs: longTimeoutMs })
  const db: Database = Object.assign(drizzle(clientOf(long)), {
    transaction: <T>(work: (transaction: Database) => Promise<T>) =>
      begun(long, (send) => work(databaseOver(send))),
    async run<Values extends object, Row extends object>(
      { text, isLong, isFirst, bind }: Statement<Values, Row>,
      values: Values,
    ) {
      const parameters = bind(values) as ParameterOrJSON<never>[]
      const send = ({ client }: { client: Sql }) => client.unsafe(text, parameters, { prepare: !isLong })
      try {
        return rowsOf(await inSpan(text, () => (isLong ? long.run(send) : short.run(send, isFirst)))) as Row[]
      } catch (error) {
        throw error instanceof Overloaded ? error : failed(text, parameters, error)
      }
    },
  })
  return {
    db,
    load: () => sumOf(short.load(), long.load()),
    migrate: (waitMs = LOCK_WITHIN_MS) => migrateUnderLock(migrationUrl, waitMs),
    checkMigrated: () => requireMigrated(migrationUrl),
    check: async () => checkSettings(((await db.execute(sql.raw(SETTINGS))) as Settings[])[0]),
    async close() {
      await Promise.all([short.end(CLOSE_SECONDS), long.end(CLOSE_SECONDS)])
    },
  }
}

/** What Drizzle uses of a postgres.js client: statements of the query builder, and transactions. */
function clientOf(pool: Pool): Sql {
  const unsafe = (...statement: Parameters<Sql['unsafe']>) => {
    const run = (values: boolean) =>
      inSpan(statement[0], () =>
        pool.run(({ client }) => {
          const query = client.unsafe(...statement)
          return values ? query.values() : query
        }),
      )
    return {
      values: () => run(true),
      // oxlint-disable-next-line unicorn/no-thenable -- like postgres.js' queries, it runs when it is awaited
      then: (...handlers: Parameters<Promise<unknown>['then']>) => run(false).then(...handlers),
    }
  }
  const begin = (work: (transaction: object) => Promise<unknown>) =>
    begun(pool, (send) => work({ unsafe: send, savepoint: savepoints(send) }))
  return clientForDrizzle({ unsafe, begin })
}

/** A transaction on a connection of the pool. It may wait, and is begun by whoever frees the connection. */
function begun<T>(pool: Pool, work: (send: Send) => Promise<T>): Promise<T> {
  const inOwnContext = AsyncResource.bind(work)
  return inSpan('begin', () =>
    pool.run((connection) =>
      inTransaction(connection.client, () => Number(connection.isClosed), inOwnContext),
    ),
  ) as Promise<T>
}

function databaseOver(send: Send, depth = 1): Database {
  const begin = savepoints(send, depth)
  return Object.assign(drizzle(clientForDrizzle({ unsafe: send, begin })), {
    isTransaction: true as const,
    transaction: <T>(work: (transaction: Database) => Promise<T>) =>
      begin(() => work(databaseOver(send, depth + 1))),
    async run<Values extends object, Row extends object>(
      { text, isLong, bind }: Statement<Values, Row>,
      values: Values,
    ) {
      const parameters = bind(values) as ParameterOrJSON<never>[]
      try {
        return rowsOf(await inSpan(text, () => send(text, parameters, { prepare: !isLong }))) as Row[]
      } catch (error) {
        throw failed(text, parameters, error)
      }
    },
  })
}

const inSpan = <T>(text: string, run: () => Promise<T>): Promise<T> =>
  isTracing() ? traced('query', { 'db.system.name': 'postgresql', 'db.query.text': text }, run) : run()

const sumOf = (one: PoolLoad, other: PoolLoad): PoolLoad => ({
  size: one.size + other.size,
  running: one.running + other.running,
  waiting: one.waiting + other.waiting,
  refused: one.refused + other.refused,
})

const TIMESTAMPTZ = 1184

/** The rows of a statement as a plain array, `timestamptz` as Date. */
function rowsOf(result: unknown): Record<string, unknown>[] {
  const { columns = [] } = result as { columns?: readonly { readonly name: string; readonly type: number }[] }
  const times = columns.filter(({ type }) => type === TIMESTAMPTZ)
  return Array.from(result as Record<string, unknown>[], (row) => {
    for (const { name } of times) if (row[name] !== null) row[name] = readTime(row[name] as string)
    return row
  })
}

const asText = (value: unknown) => (value instanceof Date ? value.toISOString() : String(value))

/** JSON is written by the caller. Times stay text, as columns of Drizzle read it. */
const types = {
  json: { to: 114, from: [114, 3802], serialize: asText, parse: (text: string): unknown => JSON.parse(text) },
  time: {
    to: TIMESTAMPTZ,
    from: [TIMESTAMPTZ, 1082, 1083, 1114],
    serialize: asText,
    parse: (text: string) => text,
  },
}

/**
 * Timeouts in milliseconds that PostgreSQL enforces, also for a process that was killed. On a direct connection only: poolers
 * refuse them as startup parameters (PgBouncer: "unsupported startup parameter"), so there they are set for the role.
 */
const serverTimeouts = (runMs: number) => ({
  statement_timeout: runMs,
  lock_timeout: Math.ceil(runMs * LOCK_SHARE),
  idle_in_transaction_session_timeout: runMs + 9_000,
})

/** Below the statement timeout, so that the error says what was waited for. */
const LOCK_SHARE = 0.9
