import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** An entry of an index has room for 2,700 bytes, and a cursor for some thousand characters. */
const KEY_CHARACTERS = 255

/**
 * What rows are ordered by: text by its first characters, whatever their case, and null as if it were empty; all else by
 * its value, null last in either direction. The indexes (tables.ts) are made of the same expression.
 *
 * @param of the column where it stands, or a value in its place
 */
export function sortKey<T extends SQLWrapper>(column: PgColumn, of: T): T | SQL {
  if (!isText(column)) return of
  const folded = column.notNull ? sql`lower(${of})` : sql`lower(coalesce(${of}, ''))`
  return isLong(column) ? sql`left(${folded}, ${sql.raw(String(KEY_CHARACTERS))})` : folded
}

/** Numbers, dates and enums are text in TypeScript too. By name, as columns that an index is declared with are copies. */
export const isText = ({ columnType }: PgColumn) => ['PgText', 'PgVarchar', 'PgChar'].includes(columnType)

function isLong(column: PgColumn): boolean {
  const { length } = (column as unknown as { config: { length?: number } }).config
  return length === undefined || length > KEY_CHARACTERS
}

/** Whether rows may have no key: those come last. */
export const mayLackKey = (column: PgColumn) => !column.notNull && !isText(column)

/**
 * Whether a key as TypeScript has it says all of it. Of others (microseconds, numbers beyond 2^53, long text) the
 * database writes it down for the cursor.
 */
export const isWhole = (column: PgColumn) =>
  isText(column) ? !isLong(column) : column.dataType === 'date' && MILLISECONDS.test(column.getSQLType())

const MILLISECONDS = /^timestamp \([0-3]\)/
