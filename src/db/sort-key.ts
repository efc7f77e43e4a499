import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/**
 * What rows are ordered by: text whatever its case, and null as if it were empty. The indexes (tables.ts) are made of
 * the same expression.
 *
 * @param of the column where it stands, or a value in its place
 */
export function sortKey<T extends SQLWrapper>(column: PgColumn, of: T): T | SQL {
  if (column.dataType !== 'string') return of
  return column.notNull ? sql`lower(${of})` : sql`lower(coalesce(${of}, ''))`
}
