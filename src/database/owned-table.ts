import { getTableName, is } from 'drizzle-orm'
import { type PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { ApiErrorKind } from '../contract/errors.ts'

/**
 * A table with owners, as an opaque type: `db.select().from(notes)` does not compile. At run time it is the Drizzle table,
 * from which drizzle-kit makes migrations. Lint keeps `reveal` to ownership/.
 */
export interface OwnedTable<Row, Field extends string, Sort extends string = string> {
  /** Type only. */
  readonly __row: Row
  readonly __field: Field
  readonly __sort: Sort
}

/** Properties of an owned table beside its columns. */
export interface Ownership {
  /** Columns that the owner writes. */
  readonly fields: readonly string[]
  /** Columns that `q` searches. */
  readonly search: readonly string[]
  readonly notFound: ApiErrorKind
}

export type RevealedTable = PgTable &
  Record<'id' | 'owner_id' | 'created_at', PgColumn> &
  Record<string, PgColumn>

const ownerships = new WeakMap<object, Ownership>()

/** Makes a Drizzle table opaque. */
export function conceal<Row, Field extends string, Sort extends string>(
  table: PgTable,
  ownership: Ownership,
): OwnedTable<Row, Field, Sort> {
  ownerships.set(table, ownership)
  return table as unknown as OwnedTable<Row, Field, Sort>
}

/** Searched columns of all owned tables, by table. */
export function searchedColumns(tables: Readonly<Record<string, unknown>>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const table of Object.values(tables)) {
    if (!is(table, PgTable)) continue
    const fields = ownerships.get(table)?.search ?? []
    const columns = fields.map((field) => (table as RevealedTable)[field]!.name)
    if (columns.length > 0) found.set(getTableName(table), columns)
  }
  return found
}

/** The Drizzle table of an owned one; for ownership/ only. */
export function reveal(table: OwnedTable<unknown, string>): { table: RevealedTable; ownership: Ownership } {
  const ownership = ownerships.get(table)
  if (!ownership)
    throw new TypeError('Not an owned table: declare it with ownedTable() in database/tables.ts')
  return { table: table as unknown as RevealedTable, ownership }
}
