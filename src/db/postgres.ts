import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import { boundedPool } from './bounded-pool.ts'
import type { Connection } from './connect.ts'
import { migrations } from './migrations.ts'
import { runPreparedBy } from './prepared.ts'

export interface PostgresOptions {
  readonly url: string
  /** A direct connection where `url` leads to a pooler. */
  readonly migrationUrl: string
  /** Connections at most. */
  readonly poolSize: number
  /** Milliseconds that a statement may run; 800 where left out. */
  readonly timeoutMs?: number
  /** As `PoolBounds` has it. */
  readonly depth?: number | undefined
}

/** Any number, as long as all versions of the service agree on it. */
const MIGRATION_LOCK = 7_042_917_263

const CONNECT_SECONDS = 2
const CLOSE_SECONDS = 1

/**
 * A pool of connections to PostgreSQL. It connects on first use, and again by itself after a fault; a statement that
 * can't be run in time fails (bounded-pool.ts).
 */
export function connectPostgres(options: PostgresOptions): Connection {
  const { url, migrationUrl, poolSize: size, timeoutMs: runMs = 800, depth } = options
  const parameters = url === migrationUrl ? { ...named, ...serverTimeouts(runMs) } : named
  const open = () => {
    const client = postgres(url, {
      max: 1,
      connect_timeout: CONNECT_SECONDS,
      ...quiet,
      idle_timeout: 60,
      backoff: (attempts) => Math.min(0.1 * 2 ** attempts, 1),
      connection: parameters,
    })
    drizzle(client) // it sets how types are read on the client that it is given, and this may not be the first
    return client
  }
  const pool = boundedPool(open, { size, runMs, depth })
  const db = drizzle(pool.client)
  runPreparedBy(db, pool.prepared)
  return {
    db,
    load: pool.load,
    migrate: () => migrateUnderLock(migrationUrl),
    close: () => pool.end(CLOSE_SECONDS),
  }
}

/**
 * Without `fetch_types: false`, postgres.js 3.4.9 asks on each new connection for types that Drizzle knows itself, and
 * lets nobody catch that the connection breaks meanwhile, which ends the process.
 */
const quiet = { fetch_types: false, onnotice: () => undefined }

const named = { application_name: 'groundwork' }

/**
 * For a direct connection: what a statement of a process that was killed may still do to others. A pooler refuses to
 * be told so at the start of a connection (PgBouncer: "unsupported startup parameter"); through one, these belong into
 * its own configuration or the role's. Milliseconds.
 */
const serverTimeouts = (runMs: number) => ({
  statement_timeout: runMs + 4_000,
  lock_timeout: runMs + 2_000,
  idle_in_transaction_session_timeout: runMs + 9_000,
})

/** Drizzle's migrator fails when two processes run it at once; a lock of the session makes the others wait. */
async function migrateUnderLock(url: string) {
  const client = postgres(url, {
    max: 1,
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    idle_timeout: 0,
    connection: { application_name: 'groundwork migrations' },
  })
  try {
    await client`select pg_advisory_lock(${MIGRATION_LOCK})`
    await migrate(drizzle(client), migrations)
  } finally {
    // Ending the session lets go of the lock, whatever happened.
    await client.end({ timeout: CLOSE_SECONDS })
  }
}
