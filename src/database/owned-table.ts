import { getTableName } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { ApiErrorKind } from '../contract/errors.ts'

/**
 * A table whose rows have owners, seen from outside: no query builder takes it, so that `db.select().from(notes)`
 * does not compile. At run time it is the Drizzle table that drizzle-kit makes migrations from.
 * The lint rules keep `reveal` to ownership/owned.ts.
 */
export interface OwnedTable<Row, Field extends string, Sort extends string = string> {
  /** Types only; nothing stands there at run time. */
  readonly __row: Row
  readonly __field: Field
  readonly __sort: Sort
}

/** What owned.ts must know of an owned table beside its columns. */
export interface Ownership {
  /** The columns that the owner writes. */
  readonly fields: readonly string[]
  /** The columns that a list's `q` looks into. */
  readonly search: readonly string[]
  readonly notFound: ApiErrorKind
}

export type RevealedTable = PgTable &
  Record<'id' | 'owner_id' | 'created_at', PgColumn> &
  Record<string, PgColumn>

const revealed = new WeakMap<object, { readonly table: RevealedTable; readonly ownership: Ownership }>()

/** Hides a Drizzle table behind its ownership. */
export function conceal<Row, Field extends string, Sort extends string>(
  table: PgTable,
  ownership: Ownership,
): OwnedTable<Row, Field, Sort> {
  revealed.set(table, { table: table as RevealedTable, ownership })
  return table as unknown as OwnedTable<Row, Field, Sort>
}

/** Columns that searches of owned tables look into, by table. */
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

/** The Drizzle table behind an owned one, for ownership/owned.ts alone. */
export function reveal(table: OwnedTable<unknown, string>): { table: RevealedTable; ownership: Ownership } {
  const found = revealed.get(table)
  if (!found) throw new TypeError('Not an owned table: declare it with ownedTable() in database/tables.ts')
  return found
}
