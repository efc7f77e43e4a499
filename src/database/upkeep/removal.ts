import { type SQL, type SQLWrapper, count, getTableName, is, sql } from 'drizzle-orm'
import { type ForeignKey, type PgColumn, PgTable, getTableConfig } from 'drizzle-orm/pg-core'
import { type Batch, inBatches } from './batches.ts'
import type { Database } from '../connect.ts'
import { isForeignKeyViolation } from '../faults.ts'
import * as tables from '../tables.ts'

const { sessions, users } = tables

/**
 * Removes the rows of users that were deleted: everything that belongs to them in batches, then the users themselves.
 * A deletion marks the user and takes away their address (accounts/delete-account.ts), which is one short statement
 * however much they have; this comes behind it, goes on where a process was ended in the middle, and may run in any
 * number of processes at once.
 */
export interface Removal {
  /** Of one user. @returns whether nothing is left */
  ofUser(id: string, signal: AbortSignal): Promise<boolean>
  /** Of one user, sessions that a higher `credentials_version` ended. @returns whether nothing is left */
  endedSessionsOf(id: string, signal: AbortSignal): Promise<boolean>
  /** Of all that are marked. */
  ofAll(signal: AbortSignal): Promise<void>
}

/** @throws TypeError where a table keeps its users from being removed */
export function removal(db: Database, schema: Readonly<Record<string, unknown>> = tables): Removal {
  const referring = referringToUsers(schema)

  async function ofUser(id: string, signal: AbortSignal) {
    const failures: unknown[] = []
    for (const { column, onDelete } of referring) {
      const isOfUser = sql`${column} = ${id}`
      const batch =
        onDelete === 'cascade'
          ? deletion(db, column.table, isOfUser)
          : changing(db, column.table, isOfUser, (rows) => withoutUser(column, rows))
      try {
        if (!(await inBatches(batch, signal))) return false
      } catch (error) {
        // Rows that refer to each other can't go in batches: they go with the user, at once.
        if (!isForeignKeyViolation(error)) failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
    // What was added meanwhile goes with it, as foreign keys cascade or are set to null.
    await db.delete(users).where(sql`${users.id} = ${id} and ${users.deleted_at} is not null`)
    return true
  }
  return {
    ofUser,
    endedSessionsOf(id, signal) {
      const now = sql`(select credentials_version from ${users} where id = ${id})`
      const ended = sql`${sessions.user_id} = ${id} and ${sessions.credentials_version} < ${now}`
      return inBatches(deletion(db, sessions, ended), signal)
    },
    async ofAll(signal) {
      const marked = await db
        .select({ id: users.id })
        .from(users)
        .where(sql`${users.deleted_at} is not null`)
        .orderBy(users.deleted_at)
        .limit(USERS_A_TURN)
      const failures: unknown[] = []
      for (const { id } of marked) await ofUser(id, signal).catch((error: unknown) => failures.push(error))
      if (failures.length > 0) throw failures[0]
    },
  }
}

const USERS_A_TURN = 1_000

interface Referring {
  readonly column: PgColumn & { table: PgTable }
  /** What becomes of the row: it goes with its user, or stays and names nobody. */
  readonly onDelete: 'cascade' | 'set null'
}

/**
 * The columns of all tables that refer to users. Mails come first, so that none is sent any more; then tables that refer
 * to others, before those.
 */
function referringToUsers(schema: Readonly<Record<string, unknown>>): Referring[] {
  const referring = inOrderOfRemoval(Object.values(schema).filter((table) => is(table, PgTable)))
    .flatMap((table) => getTableConfig(table).foreignKeys)
    .filter((key) => getTableName(key.reference().foreignTable) === getTableName(users))
    .flatMap((key) => key.reference().columns.map((column) => ({ column, onDelete: actionOf(key) })))
  return referring.toSorted(
    (a, b) => Number(b.column.table === tables.emails) - Number(a.column.table === tables.emails),
  )
}

/** Each table behind all that refer to it; where some refer to each other, there is no such order of those. */
function inOrderOfRemoval(all: readonly PgTable[]): PgTable[] {
  const inOrder = new Set<PgTable>()
  const seen = new Set<PgTable>()
  const refersTo = (table: PgTable, other: PgTable) =>
    getTableConfig(table).foreignKeys.some((key) => key.reference().foreignTable === other)
  function add(table: PgTable) {
    if (seen.has(table)) return
    seen.add(table)
    for (const other of all) if (refersTo(other, table)) add(other)
    inOrder.add(table)
  }
  for (const table of all) add(table)
  return [...inOrder]
}

/** By any other, one row would keep its user from ever being removed. */
function actionOf(key: ForeignKey): Referring['onDelete'] {
  const { onDelete } = key
  if (onDelete === 'cascade') return onDelete
  if (onDelete === 'set null' && key.reference().columns.every(({ notNull }) => !notNull)) return onDelete
  throw new TypeError(
    `${key.getName()}: what refers to users needs onDelete 'cascade', or 'set null' where it may be null`,
  )
}

const withoutUser = ({ table, name }: Referring['column'], rows: SQL) =>
  sql`update ${table} set ${sql.identifier(name)} = null where ctid = any(array(${rows}))`

/**
 * Deletes rows of which `condition` holds. Those that somebody else has locked are left for the next time, so that it
 * neither waits nor is in anybody's way.
 */
export const deletion = (db: Database, table: PgTable, condition: SQLWrapper): Batch => {
  const changed = (rows: SQL) => sql`delete from ${table} where ctid = any(array(${rows}))`
  return changing(db, table, condition, changed)
}

/** @param change a statement that changes the rows whose ctid is among those of `rows`, a subquery */
export const changing =
  (db: Database, table: PgTable, condition: SQLWrapper, change: (rows: SQL) => SQL): Batch =>
  (size) =>
    db.transaction(async (transaction) => {
      await transaction.execute(ALONG_THE_INDEX)
      const rows = sql`select ctid from ${table} where ${condition} limit ${sql.raw(String(size))} for update skip locked`
      const changed = transaction
        .$with('changed', { one: sql<number>`one`.as('one') })
        .as(sql`${change(rows)} returning 1 as one`)
      const [found] = await transaction.with(changed).select({ rows: count() }).from(changed)
      return found?.rows ?? 0
    })

/**
 * An index scan stops at the limit, and skips what earlier batches removed. PostgreSQL would rather read all rows that
 * `condition` holds for, dead ones too, and that for each batch: 100 ms instead of 10 with 300,000.
 */
const ALONG_THE_INDEX = sql`select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)`
