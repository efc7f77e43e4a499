import { getTableName } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
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

const revealed = new WeakMap<object, { readonly table: RevealedTable; readonly ownership: Ownership }>()

/** Makes a Drizzle table opaque. */
export function conceal<Row, Field extends string, Sort extends string>(
  table: PgTable,
  ownership: Ownership,
): OwnedTable<Row, Field, Sort> {
  revealed.set(table, { table: table as RevealedTable, ownership })
  return table as unknown as OwnedTable<Row, Field, Sort>
}

/** Searched columns of all owned tables, by table. */
export function searchedColumns(tables: Readonly<Record<string, unknown>>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const table of Object.values(tables)) {
    if (!isOwned(table)) continue
    const { table: columns, ownership } = reveal(table)
    const names = ownership.search.map((field) => columns[field]!.name)
    if (names.length > 0) found.set(getTableName(columns), names)
  }
  return found
}

export const isOwned = (table: unknown): table is OwnedTable<unknown, string> =>
  typeof table === 'object' && table !== null && revealed.has(table)

/** The Drizzle table of an owned one; for ownership/ only. */
export function reveal(table: OwnedTable<unknown, string>): { table: RevealedTable; ownership: Ownership } {
  const found = revealed.get(table)
  if (!found) throw new TypeError('Not an owned table: declare it with ownedTable() in database/tables.ts')
  return found
}
