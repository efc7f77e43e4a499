import { setTimeout as pause } from 'node:timers/promises'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import type { Sql } from 'postgres'
import { throughPooler } from '../../config/database/session-parameters.ts'
import {
  CLOSE_SECONDS,
  CONNECT_SECONDS,
  clientForDrizzle,
  named,
  openPostgres,
  quiet,
} from '../pool/open-postgres.ts'
import { checkDatabase } from '../pool/session-settings.ts'
import { type Send, inTransaction } from '../pool/transaction.ts'
import { namingMigrations } from './failed-migration.ts'
import { requireAdopted } from './template.ts'
import { MIGRATION_LOCK, MIGRATION_LOCK_HOLDER } from './migration-lock.ts'
import { migrations } from './migrations.ts'

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

/** @throws MigrationsPending if the schema is not up to date */
export async function requireMigrated(url: string) {
  const client = openPostgres(url, {
    max: 1,
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    connection: { ...named, ...throughPooler },
  })
  try {
    await checkDatabase(client)
    if (await isUpToDate(client)) return
    await requireAdopted(client.unsafe.bind(client))
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
export async function migrateUnderLock(url: string, waitMs: number) {
  const { client, losses } = openForTransaction(url, MIGRATING)
  try {
    await checkDatabase(client)
    if (await isUpToDate(client)) return
    await inTransaction(client, losses, async (send) => {
      await takeMigrationLock(send, waitMs)
      await requireAdopted(send)
      await applyMigrations(send)
    })
  } finally {
    await client.end({ timeout: CLOSE_SECONDS })
  }
}

/** One connection for one transaction, and how often it was lost (pool/transaction.ts). @param name it has in pg_stat_activity */
export function openForTransaction(url: string, name: string): { client: Sql; losses: () => number } {
  let losses = 0
  const client = openPostgres(url, {
    max: 1,
    onclose: () => (losses += 1),
    connect_timeout: CONNECT_SECONDS,
    ...quiet,
    idle_timeout: 0,
    connection: { application_name: name, ...throughPooler },
  })
  return { client, losses: () => losses }
}

/**
 * Begins a transaction as migrations expect it, with their lock.
 *
 * @throws MigrationLocked where another process has it for longer than `waitMs`
 */
export async function takeMigrationLock(send: Send, waitMs: number): Promise<void> {
  await send('set transaction isolation level read committed read write')
  await send(AS_MIGRATIONS_EXPECT)
  if (!(await takesLock(send, waitMs))) throw new MigrationLocked(await holderOf(send))
}

/** Applies pending migrations within a transaction that has the lock. @throws MigrationFailed */
export const applyMigrations = (send: Send): Promise<void> =>
  namingMigrations(() => migrate(drizzle(clientOf(send)), migrations))

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
const clientOf = (unsafe: Send) =>
  clientForDrizzle({ unsafe, begin: (work: (nested: object) => unknown) => work({ unsafe }) })
