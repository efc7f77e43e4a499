import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** An index entry has room for 2,700 bytes. */
const KEY_CHARACTERS = 255

/**
 * The sort key of a column: text by its first characters, ignoring case, null like the empty text; anything else by value,
 * nulls last in both directions. The indexes in tables.ts use the same expression.
 *
 * @param of the column where it stands, or a value in its place
 */
export function sortKey<T extends SQLWrapper>(column: PgColumn, of: T): T | SQL {
  if (!isText(column)) return of
  const folded = column.notNull ? sql`lower(${of})` : sql`lower(coalesce(${of}, ''))`
  return isLong(column) ? sql`left(${folded}, ${sql.raw(String(KEY_CHARACTERS))})` : folded
}

/** Whether the column is free text: numerics, dates and enumerations are strings in TypeScript too. */
export const isText = ({ columnType, enumValues = [] }: PgColumn) =>
  ['PgText', 'PgVarchar', 'PgChar'].includes(columnType) && enumValues.length === 0

function isLong(column: PgColumn): boolean {
  const { length } = column as PgColumn & { length?: number }
  return length === undefined || length > KEY_CHARACTERS
}

/** Whether the key may be null; such rows come last. */
export const mayLackKey = (column: PgColumn) => !column.notNull && !isText(column)

/**
 * Whether the TypeScript value of a key is exact. For others (microseconds, numbers beyond 2^53, long text) the database
 * gives the key as text, for the cursor.
 */
export const isWhole = (column: PgColumn) =>
  isText(column) ? !isLong(column) : column.dataType === 'date' && MILLISECONDS.test(column.getSQLType())

const MILLISECONDS = /^timestamp \([0-3]\)/
