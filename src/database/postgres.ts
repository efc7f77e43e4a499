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
  /** A direct connection where `url` leads to a pooler. */
  readonly migrationUrl: string
  /** Connections at most. */
  readonly poolSize: number
  /** Milliseconds that a statement may run; 800 where left out. */
  readonly timeoutMs?: number
  /** As `PoolBounds` has it. */
  readonly depth?: number | undefined
}

/** So long a start waits for another process that migrates, before it says so and tries again. */
const LOCK_WITHIN_MS = 3_000

const CONNECT_SECONDS = 2
const CLOSE_SECONDS = 1

/**
 * A pool of connections to PostgreSQL. It connects on first use, and again by itself after a fault; a statement that
 * can't be run in time fails (bounded-pool.ts).
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

/** Another process migrates, or a connection that it left behind holds the lock still. */
class MigrationLocked extends Error {
  /** Lock not available: it may be in a moment (faults.ts). */
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
 * Drizzle's migrator fails when two processes run it at once; a lock makes the others wait, for so long. It is a lock of
 * the transaction, in which all migrations are: behind a pooler one of the session would outlive its owner, and stop
 * every start from then on. Where nothing is to be done, nothing is locked.
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
 * Whatever is set for the role or the database: tables go to the schema that migrations name, operators of pg_trgm are
 * found where it was installed, and nothing is timed but the wait for locks.
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

/** Who holds the lock, for people. */
async function holderOf(send: Send) {
  const [found] = await send<{ holder: string }[]>(MIGRATION_LOCK_HOLDER)
  return `Another connection holds the lock of migrations: ${found?.holder ?? 'it has ended just now'}`
}

/** A transaction as Drizzle's migrator wants a client: what it begins is a part of the transaction. */
function asClient({ options, parameters }: Sql, unsafe: Send): Sql {
  const transaction = { options, parameters, unsafe }
  return Object.assign(transaction, {
    begin: (work: (nested: typeof transaction) => unknown) => work(transaction),
  }) as unknown as Sql
}
