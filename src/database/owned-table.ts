import { getTableName, is } from 'drizzle-orm'
import { type PgColumn, PgTable } from 'drizzle-orm/pg-core'
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

const ownerships = new WeakMap<object, Ownership>()

/** Hides a Drizzle table behind its ownership. */
export function conceal<Row, Field extends string, Sort extends string>(
  table: PgTable,
  ownership: Ownership,
): OwnedTable<Row, Field, Sort> {
  ownerships.set(table, ownership)
  return table as unknown as OwnedTable<Row, Field, Sort>
}

/** Columns that searches of owned tables look into, by table. */
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

/** The Drizzle table behind an owned one, for ownership/owned.ts alone. */
export function reveal(table: OwnedTable<unknown, string>): { table: RevealedTable; ownership: Ownership } {
  const ownership = ownerships.get(table)
  if (!ownership)
    throw new TypeError('Not an owned table: declare it with ownedTable() in database/tables.ts')
  return { table: table as unknown as RevealedTable, ownership }
}
