import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import type { Sql } from 'postgres'
import { direct, throughPooler } from '../config/session-parameters.ts'
import { boundedPool } from './pool/bounded-pool.ts'
import type { Connection } from './connect.ts'
import { MIGRATION_LOCK, MIGRATION_LOCK_HOLDER } from './migrate/migration-lock.ts'
import { migrations } from './migrate/migrations.ts'
import { namingMigrations } from './migrate/failed-migration.ts'
import { openPostgres } from './pool/open-postgres.ts'
import { type Send, inTransaction } from './pool/transaction.ts'
import { SETTINGS, type Settings, checkDatabase, checkSettings } from './pool/session-settings.ts'

export interface PostgresOptions {
  readonly url: string
  /** A direct connection, if `url` leads to a pooler. */
  readonly migrationUrl: string
  /** Maximum number of connections. */
  readonly poolSize: number
  /** Statement timeout in milliseconds; 800 by default. */
  readonly timeoutMs?: number
  /** As `PoolBounds` has it. */
  readonly depth?: number | undefined
}

/** How long a start waits for another process that migrates, before it logs so and retries. */
const LOCK_WITHIN_MS = 3_000

const CONNECT_SECONDS = 2
const CLOSE_SECONDS = 1

/**
 * A pool of connections to PostgreSQL. Connects on first use, and reconnects by itself; a statement beyond its deadline fails
 * (pool/bounded-pool.ts).
 */
export function connectPostgres(options: PostgresOptions): Connection {
  const { url, migrationUrl, poolSize: size, timeoutMs: runMs = 800, depth } = options
  const parameters =
    url === migrationUrl ? { ...named, ...direct, ...serverTimeouts(runMs) } : { ...named, ...throughPooler }
  const open = (onclose: () => void) => {
    const client = openPostgres(url, {
      max: 1,
      onclose,
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
  const db = Object.assign(drizzle(pool.client), { run: pool.run })
  return {
    db,
    load: pool.load,
    migrate: (waitMs = LOCK_WITHIN_MS) => migrateUnderLock(migrationUrl, waitMs),
    checkMigrated: () => requireMigrated(migrationUrl),
    check: async () =>
      checkSettings((await db.execute<Settings & Record<string, unknown>>(sql.raw(SETTINGS)))[0]),
    close: () => pool.end(CLOSE_SECONDS),
  }
}

/**
 * With fetch_types, postgres.js 3.4.9 queries types on each new connection, which are not needed here, and a connection that
 * is lost meanwhile becomes an uncaught exception.
 */
const quiet = { fetch_types: false, onnotice: () => undefined }

const named = { application_name: 'groundwork' }

/**
 * Server-side limits in milliseconds, for statements whose process was killed. On a direct connection only: poolers refuse
 * them as startup parameters (PgBouncer: "unsupported startup parameter"), so there they are set for the role.
 */
const serverTimeouts = (runMs: number) => ({
  statement_timeout: runMs + 4_000,
  lock_timeout: runMs + 2_000,
  idle_in_transaction_session_timeout: runMs + 9_000,
})

/** Another process migrates, or a connection that it left behind still holds the lock. */
class MigrationLocked extends Error {
  /** lock_not_available, which faults.ts calls unavailable. */
  readonly code = '55P03'
  override readonly name = 'MigrationLocked'
}

/** The schema is older than this build, and MIGRATE_ON_START is false. */
class MigrationsPending extends Error {
  readonly code = 'MIGRATIONS_PENDING'
  override readonly name = 'MigrationsPending'
}

async function requireMigrated(url: string) {
  const client = openPostgres(url, {
    max: 1,
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    connection: { ...named, ...throughPooler },
  })
  try {
    await checkDatabase(client)
    if (!(await isUpToDate(client)))
      throw new MigrationsPending(
        'The database lacks migrations of this version, and MIGRATE_ON_START is false: run npm run db:migrate (node dist/scripts/migrate.js in an image).',
      )
  } finally {
    await client.end({ timeout: CLOSE_SECONDS })
  }
}

/**
 * Drizzle's migrator fails if two processes run it at once, so an advisory lock makes others wait. It is a lock of the
 * transaction that all migrations run in: behind a pooler, a session lock would outlive its owner and block every start.
 * Without pending migrations nothing is locked.
 */
async function migrateUnderLock(url: string, waitMs: number) {
  let losses = 0
  const client = openPostgres(url, {
    max: 1,
    onclose: () => (losses += 1),
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    idle_timeout: 0,
    connection: { application_name: MIGRATING, ...throughPooler },
  })
  try {
    await checkDatabase(client)
    if (await isUpToDate(client)) return
    const held = await inTransaction(
      client,
      () => losses,
      async (send) => {
        await send('set transaction isolation level read committed read write')
        await send(AS_MIGRATIONS_EXPECT)
        if (!(await takesLock(send, waitMs))) return holderOf(send)
        await namingMigrations(() => migrate(drizzle(asClient(client, send)), migrations))
        return undefined
      },
    )
    if (held !== undefined) throw new MigrationLocked(held)
  } finally {
    await client.end({ timeout: CLOSE_SECONDS })
  }
}

const MIGRATING = 'groundwork migrations'

/**
 * Overrides settings of the role or the database: migrations find the public schema and the operators of pg_trgm, and have no
 * statement timeout.
 */
const AS_MIGRATIONS_EXPECT = `
  select set_config('search_path', concat_ws(', ', 'public', (
      select quote_ident(nspname) from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
      where extname = 'pg_trgm'
    )), true),
    set_config('statement_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '60000', true)`

const LOOK_EVERY_MS = 100

async function isUpToDate(client: Sql) {
  const newest = Math.max(...readMigrationFiles(migrations).map(({ folderMillis }) => folderMillis))
  const [table] = await client`select to_regclass('drizzle.__drizzle_migrations') is not null as is_there`
  if (!table?.is_there) return false
  const [applied] = await client`select max(created_at)::float8 as newest from drizzle.__drizzle_migrations`
  return Number(applied?.newest) >= newest
}

async function takesLock(send: Send, waitMs: number) {
  for (const end = performance.now() + waitMs; ;) {
    const [lock] = await send('select pg_try_advisory_xact_lock($1) as is_taken', [MIGRATION_LOCK])
    if (lock?.is_taken) return true
    if (performance.now() > end) return false
    await pause(LOOK_EVERY_MS)
  }
}

/** Describes who holds the lock. */
async function holderOf(send: Send) {
  const [found] = await send<{ holder: string }[]>(MIGRATION_LOCK_HOLDER)
  return `Another connection holds the lock of migrations: ${found?.holder ?? 'it has ended just now'}`
}

/** A client for Drizzle's migrator that runs everything in the open transaction. */
function asClient({ options, parameters }: Sql, unsafe: Send): Sql {
  const transaction = { options, parameters, unsafe }
  return Object.assign(transaction, {
    begin: (work: (nested: typeof transaction) => unknown) => work(transaction),
  }) as unknown as Sql
}
