import { type SQL, getTableName, is, sql } from 'drizzle-orm'
import { type ForeignKey, type PgColumn, PgTable, getTableConfig } from 'drizzle-orm/pg-core'
import { changing, deletion, inBatches, literal, rowsOf } from './batches.ts'
import type { Database } from '../connect.ts'
import { isForeignKeyViolation } from '../faults.ts'
import * as tables from '../tables.ts'

const { sessions, users } = tables

/**
 * Removes users that were deleted. A deletion (accounts/delete-account.ts) only marks the user and takes the address away, so it is short
 * however much the user has. This deletes everything that belongs to them in batches, and then the user. It continues what
 * a process that was killed has begun; any number may do so at once.
 */
export interface Removal {
  /** Removes one user. @returns whether nothing is left */
  ofUser(id: string, signal: AbortSignal): Promise<boolean>
  /** Deletes the sessions of a user that a higher `credentials_version` has ended. @returns whether none is left */
  endedSessionsOf(id: string, signal: AbortSignal): Promise<boolean>
  /** Removes all users that are marked. */
  ofAll(signal: AbortSignal): Promise<void>
}

/**
 * @param resources tables beside those of tables.ts
 * @throws TypeError where a foreign key would keep users from being removed
 */
export function removal(db: Database, resources: readonly object[]): Removal {
  const references = referencesToUsers([...Object.values(tables), ...resources])

  async function ofUser(id: string, signal: AbortSignal) {
    const failures: unknown[] = []
    for (const { column, onDelete, needing } of references) {
      const isOfUser = sql`${column} = ${id}`
      const batch =
        onDelete === 'cascade'
          ? deletion(db, column.table, isOfUser)
          : changing(db, column.table, isOfUser, (rows) => setNull(column, rows))
      try {
        for (const other of needing)
          if (!(await inBatches(releasing(db, other, column, isOfUser), signal))) return false
        if (!(await inBatches(batch, signal))) return false
      } catch (error) {
        // Rows of tables that refer to each other can't go in batches: they go with the user, in one statement.
        if (!isForeignKeyViolation(error)) failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
    // Foreign keys take along what was added in the meantime.
    await db.execute(sql`delete from ${users} where id = ${id} and deleted_at is not null`)
    return true
  }

  return {
    ofUser,
    endedSessionsOf(id, signal) {
      const isEnded = sql`user_id = ${id}
        and credentials_version < (select credentials_version from ${users} where id = ${id})`
      return inBatches(deletion(db, sessions, isEnded), signal)
    },
    async ofAll(signal) {
      const marked = await db.execute(sql`
        select id from ${users} where deleted_at is not null order by deleted_at limit ${literal(USERS_AT_ONCE)}`)
      const failures: unknown[] = []
      for (const { id } of rowsOf<{ id: string }>(marked))
        await ofUser(id, signal).catch((error: unknown) => failures.push(error))
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** The others are removed a minute later. */
const USERS_AT_ONCE = 1_000

/** A column that refers to users. */
interface Reference {
  readonly column: PgColumn & { table: PgTable }
  /** Whether rows are deleted with their user, or stay without one. */
  readonly onDelete: 'cascade' | 'set null'
  /** Columns of any table that need those rows (`on delete restrict`). */
  readonly needing: readonly Reference['column'][]
}

/**
 * The columns of all tables that refer to users. Mails come first, so that none is sent any more; after them, tables stand
 * before those that they refer to.
 */
function referencesToUsers(all: readonly unknown[]): Reference[] {
  const known = all.filter((table) => is(table, PgTable))
  const needing = ({ table }: ForeignKey) =>
    known
      .flatMap((other) => getTableConfig(other).foreignKeys)
      .filter((key) => key.onDelete === 'restrict' && key.reference().foreignTable === table)
      .flatMap((key) => key.reference().columns)
  const references = referringFirst(known)
    .flatMap((table) => getTableConfig(table).foreignKeys)
    .filter((key) => getTableName(key.reference().foreignTable) === getTableName(users))
    .flatMap((key) =>
      key.reference().columns.map((column) => ({ column, onDelete: actionOf(key), needing: needing(key) })),
    )
  return references.toSorted(
    (a, b) => Number(b.column.table === tables.emails) - Number(a.column.table === tables.emails),
  )
}

/** Each table after all that refer to it. Tables that refer to each other have no such order. */
function referringFirst(all: readonly PgTable[]): PgTable[] {
  const ordered = new Set<PgTable>()
  const seen = new Set<PgTable>()
  const refersTo = (table: PgTable, other: PgTable) =>
    getTableConfig(table).foreignKeys.some((key) => key.reference().foreignTable === other)
  function add(table: PgTable) {
    if (seen.has(table)) return
    seen.add(table)
    for (const other of all) if (refersTo(other, table)) add(other)
    ordered.add(table)
  }
  for (const table of all) add(table)
  return [...ordered]
}

/** Any other action would let one row keep its user from being removed for ever. */
function actionOf(key: ForeignKey): Reference['onDelete'] {
  const { onDelete } = key
  if (onDelete === 'cascade') return onDelete
  if (onDelete === 'set null' && key.reference().columns.every(({ notNull }) => !notNull)) return onDelete
  throw new TypeError(
    `${key.getName()}: what refers to users needs onDelete 'cascade', or 'set null' where it may be null`,
  )
}

/**
 * Rows that need rows of a user who is removed lose their reference, or go as well: nobody keeps somebody else's account
 * from being deleted.
 */
function releasing(db: Database, other: Reference['column'], { table }: Reference['column'], isOfUser: SQL) {
  const needs = sql`${other} in (select id from ${table} where ${isOfUser})`
  return other.notNull
    ? deletion(db, other.table, needs)
    : changing(db, other.table, needs, (rows) => setNull(other, rows))
}

const setNull = ({ table, name }: Reference['column'], rows: SQL) =>
  sql`update ${table} set ${sql.identifier(name)} = null where ctid = any(array(${rows}))`
