import { type SQL, or, sql } from 'drizzle-orm'
import { type PgColumn, type PgTable, getTableConfig } from 'drizzle-orm/pg-core'
import { users } from '../database/tables.ts'
import { type Ownership, type RevealedTable, isOwned, reveal } from './owned-table.ts'

/** Who may read, change and refer to rows: conditions for the statements that do so. */

/** Who is asking. Superusers see and change every row; others their own, and what is shared with them. */
export interface Asker {
  readonly id: string
  readonly is_superuser: boolean
}

/** What a condition is about: the parameters of whoever asks. */
export interface AskerParameters {
  readonly asker: SQL
  readonly superuser: SQL
}

export const askerParameters: AskerParameters = {
  asker: sql`${sql.placeholder('asker')}::uuid`,
  superuser: sql`${sql.placeholder('superuser')}::boolean`,
}

/** Rows of a deleted user are hidden from all others until they are removed (removal.ts). */
export const ofDeletedUser = (table: RevealedTable): SQL =>
  sql`${table.owner_id} = any(array(select id from ${users} where deleted_at is not null))`

/** Whether rows of the table may be others' than the asker's. */
export const isShared = ({ readers, changers }: Ownership): boolean =>
  readers !== undefined || changers !== undefined

/** Whether the row is the asker's, or shared with them. */
export function isOwnOrShared(table: RevealedTable, { readers, changers }: Ownership, asker: SQL): SQL {
  const others = [readers, changers].flatMap((who) => (who ? [who(table, asker)] : []))
  return or(sql`${table.owner_id} = ${asker}`, ...others)!
}

/** Whether the asker may change the row: owners, superusers, and changers where they send no other field than theirs. */
export function mayChange(table: RevealedTable, ownership: Ownership, v: AskerParameters): SQL {
  const { changers, changeable, fields } = ownership
  const isOwner = sql`${table.owner_id} = ${v.asker} or ${v.superuser}`
  if (!changers) return sql`(${isOwner})`
  const barred = fields.filter((field) => !changeable.includes(field)).map(isSent)
  const sendsNoOther = barred.length > 0 ? sql`not (${or(...barred)!})` : sql`true`
  return sql`(${isOwner} or (${changers(table, v.asker)} and ${sendsNoOther}))`
}

/** Whether a body has the field. Fields may have any name, so the names of these parameters have a space. */
export const isSent = (field: string): SQL => sql`${sql.placeholder(`sent ${field}`)}::boolean`

/** No row has it: `gen_random_uuid()` makes others. */
const NO_ID = sql`'00000000-0000-0000-0000-000000000000'::uuid`

/**
 * The id that a reference is given, or one that violates its foreign key where the asker may not read that row: the
 * same refusal for a row of others as for one that is not there.
 */
export function usableReference(target: PgTable, given: SQL, v: AskerParameters): SQL {
  const isUsable = mayRefer(target, v)
  if (!isUsable) return given
  const { id } = target as RevealedTable
  return sql`case when ${given} is null then null else coalesce(
      (select ${id} from ${target} where ${id} = ${given} and ${isUsable}), ${NO_ID}) end`
}

/** Undefined for a table that is neither users nor owned: its foreign key says all. */
function mayRefer(target: PgTable, v: AskerParameters): SQL | undefined {
  if (target === users) return sql`${users.deleted_at} is null`
  if (!isOwned(target)) return undefined
  const { table, ownership } = reveal(target)
  const mayRead = sql`(${isOwnOrShared(table, ownership, v.asker)} or ${v.superuser})`
  return sql`${mayRead} and not (${ofDeletedUser(table)})`
}

/** The table that a column refers to by a foreign key of its own; undefined where it refers to none. */
export function targetOf(table: PgTable, column: PgColumn): PgTable | undefined {
  for (const key of getTableConfig(table).foreignKeys) {
    const { columns, foreignTable } = key.reference()
    if (columns.length === 1 && columns[0] === column) return foreignTable
  }
  return undefined
}
