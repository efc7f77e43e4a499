import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import type { Connection } from './connect.ts'
import { migrations } from './migrations.ts'
import { runPreparedBy } from './prepared.ts'

export interface PostgresOptions {
  readonly url: string
  /** A direct connection where `url` leads to a pooler. */
  readonly migrationUrl: string
  /** Connections at most. */
  readonly poolSize: number
}

/** Any number, as long as all versions of the service agree on it. */
const MIGRATION_LOCK = 7_042_917_263

const CONNECT_SECONDS = 2
const CLOSE_SECONDS = 5

/** A pool of connections to PostgreSQL. It connects on first use, and again by itself after a fault. */
export function connectPostgres(options: PostgresOptions): Connection {
  const client = postgres(options.url, {
    max: options.poolSize,
    connect_timeout: CONNECT_SECONDS,
    idle_timeout: 60,
    backoff: (attempts) => Math.min(0.1 * 2 ** attempts, 2),
    onnotice: () => undefined,
    connection: { application_name: 'groundwork' },
  })
  const db = drizzle(client)
  runPreparedBy(db, (text, params) => client.unsafe(text, params as never[], { prepare: true }).values())
  return {
    db,
    migrate: () => migrateUnderLock(options.migrationUrl),
    close: () => client.end({ timeout: CLOSE_SECONDS }),
  }
}

/** Drizzle's migrator fails when two processes run it at once; a lock of the session makes the others wait. */
async function migrateUnderLock(url: string) {
  const client = postgres(url, { max: 1, connect_timeout: 10, idle_timeout: 0, onnotice: () => undefined })
  try {
    await client`select pg_advisory_lock(${MIGRATION_LOCK})`
    await migrate(drizzle(client), migrations)
  } finally {
    // Ending the session lets go of the lock, whatever happened.
    await client.end({ timeout: CLOSE_SECONDS })
  }
}
