import { getTableColumns } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'

/** The columns of `table` as they stand in a subquery or CTE that selects all of them. */
export function columnsIn<T extends PgTable>(table: T, from: object): T['_']['columns'] {
  const there = from as T['_']['columns']
  return Object.fromEntries(Object.keys(getTableColumns(table)).map((name) => [name, there[name]!]))
}
