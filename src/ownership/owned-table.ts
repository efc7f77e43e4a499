import { type SQL, getTableColumns, getTableName, sql } from 'drizzle-orm'
import type { PgColumn, PgColumnBuilderBase, PgTable } from 'drizzle-orm/pg-core'
import { type ApiErrorKind, define } from '../contract/errors.ts'
import { isText } from '../database/sort-key.ts'
import { users } from '../database/tables.ts'
import { type Field, asField } from './fields.ts'
import { makeTable } from './make-table.ts'
import { capitalized, inWords, singular } from './names.ts'

/**
 * A table with owners, as an opaque type: `db.select().from(notes)` does not compile. At run time it is the Drizzle table,
 * from which drizzle-kit makes migrations. Lint keeps `reveal` to ownership/.
 */
export interface OwnedTable<
  Row = object,
  Body = object,
  Sort extends string = string,
  Filter extends string = string,
> {
  /** Type only. */
  readonly __row: Row
  readonly __body: Body
  readonly __sort: Sort
  readonly __filter: Filter
}

/** Whether somebody has a right to the row, in SQL. */
export interface Who {
  (row: RevealedTable, asker: SQL): SQL
  /** The field that names them, where that is all. */
  readonly field?: string
}

/** Properties of an owned table beside its columns. */
export interface Ownership {
  /** Columns that the owner writes. */
  readonly fields: readonly string[]
  /** How they are declared; a column of Drizzle's own has no schema. */
  readonly declared: Readonly<Record<string, Field>>
  /** Columns that `q` searches. */
  readonly search: readonly string[]
  /** Fields that lists are sorted by, beside `created_at`. */
  readonly sort: readonly string[]
  /** Fields that lists are filtered by. */
  readonly filter: readonly string[]
  /** What one row is called, in snake_case. */
  readonly one: string
  readonly notFound: ApiErrorKind
  /** Who may read a row beside its owner and superusers. */
  readonly readers?: Who | undefined
  /** Who may change it, and so read it. */
  readonly changers?: Who | undefined
  /** Fields that these may change. */
  readonly changeable: readonly string[]
  /** Fields whose values an owner has once. */
  readonly unique: readonly string[]
}

export type RevealedTable = PgTable &
  Record<'id' | 'owner_id' | 'created_at', PgColumn> &
  Record<string, PgColumn>

interface Revealed {
  readonly table: RevealedTable
  readonly ownership: Ownership
}

const revealed = new Map<object, Revealed>()

/** Makes a Drizzle table opaque. */
export function conceal<Row, Body, Sort extends string, Filter extends string = never>(
  table: PgTable,
  ownership: Pick<Ownership, 'fields' | 'notFound'> & Partial<Ownership>,
): OwnedTable<Row, Body, Sort, Filter> {
  const one = singular(getTableName(table))
  const none = {
    declared: {},
    search: [],
    sort: [],
    filter: [],
    unique: [],
    changeable: ownership.fields,
    one,
  }
  revealed.set(table, { table: table as RevealedTable, ownership: { ...none, ...ownership } })
  return table as unknown as OwnedTable<Row, Body, Sort, Filter>
}

export const isOwned = (table: unknown): table is OwnedTable =>
  typeof table === 'object' && table !== null && revealed.has(table)

/** The Drizzle table of an owned one; for ownership/ only. */
export function reveal(table: object): Revealed {
  const found = revealed.get(table)
  if (!found) throw new TypeError('Not an owned table: declare it with ownedTable()')
  return found
}

/** Whether rows of other tables may keep a row of this one, or one that goes with it, from being deleted. */
export function isNeeded(table: object, seen = new Set<object>()): boolean {
  if (seen.has(table)) return false
  seen.add(table)
  return [...revealed].some(([other, { ownership }]) =>
    Object.values(ownership.declared).some(
      ({ reference }) =>
        reference?.table() === table &&
        (reference.onDelete === 'restrict' || (reference.onDelete === 'cascade' && isNeeded(other, seen))),
    ),
  )
}

/** Searched columns of owned tables, by table. */
export const searchedColumns = (tables: readonly object[]): Map<string, string[]> =>
  new Map(
    tables
      .map(reveal)
      .filter(({ ownership }) => ownership.search.length > 0)
      .map(({ table, ownership }) => [
        getTableName(table),
        ownership.search.map((field) => table[field]!.name),
      ]),
  )

type Fields = Readonly<Record<string, Field | PgColumnBuilderBase>>

type ValueOf<F> = F extends Field<infer Value> ? Value : unknown
type SentOf<F> = F extends Field<unknown, infer Sent> ? Sent : unknown
/** Fields that the body of a creation must have. */
type NeededOf<All> = {
  [Name in keyof All]: All[Name] extends Field<unknown, unknown, true> ? Name : never
}[keyof All]

/** A row as it is read. */
export type RowOf<All> = { id: string; owner_id: string; created_at: Date } & {
  [Name in keyof All]: ValueOf<All[Name]>
}

/** The body of a creation. That of a change is the same with every field optional. */
export type BodyOf<All> = { [Name in keyof All & NeededOf<All>]: SentOf<All[Name]> } & {
  [Name in Exclude<keyof All, NeededOf<All>>]?: SentOf<All[Name]> | undefined
}

interface Listing<Name extends string, Sort extends Name, Filter extends Name> {
  /** What one row is called, where that can't be derived: `person` for `people`. */
  readonly one?: string
  /** Its 404, where that is not `<One> not found`. */
  readonly notFound?: ApiErrorKind
  /** Fields that lists can be sorted by, beside `created_at`. */
  readonly sort?: readonly Sort[]
  /** Text fields that `q` searches. Their index is made by a migration (docs/resources.md). */
  readonly search?: readonly Name[]
  /** Fields that lists can be filtered by. */
  readonly filter?: readonly Filter[]
  /** Who may read a row beside its owner and superusers: whom this field names, or a condition. */
  readonly readers?: Name | Who
  /** The same for changing it, which they can then read too. Deleting it stays with the owner. */
  readonly changers?: Name | Who
  /** Fields that these may change; all where left out. */
  readonly changeable?: readonly Name[]
  /** Fields whose values an owner has once: a second row with the same one is 409. */
  readonly unique?: readonly Name[]
}

/** What a list's query has beside its filters. */
const OF_LISTS = new Set(['q', 'sort', 'skip', 'limit', 'cursor'])

/**
 * Declares a table whose rows belong to users. `fields` are written by the owner; id, owner_id and created_at are added.
 * Only `request.owned(table)` can read or write it.
 *
 * @param fields by name; `fields.ts` has the kinds
 * @throws TypeError where the declaration can't work
 */
export function ownedTable<
  const All extends Fields,
  Sort extends keyof All & string = never,
  Filter extends keyof All & string = never,
>(
  name: string,
  fields: All,
  listing: Listing<keyof All & string, Sort, Filter> = {},
): OwnedTable<RowOf<All>, BodyOf<All>, 'created_at' | Sort, Filter> {
  const { sort = [], search = [], filter = [], unique = [], one = singular(name), ...others } = listing
  const { readers, changers, changeable = Object.keys(fields) } = others
  const declared = Object.fromEntries(
    Object.entries<Field | PgColumnBuilderBase>(fields).map(([field, value]) => [field, asField(value)]),
  )
  const isShared = [readers, changers].filter((who) => typeof who === 'string')
  const table = makeTable(name, declared, { sort, filter, unique, readers: isShared })
  const fault = faultOf(table, declared, { sort, search, filter, readers: isShared })
  if (fault !== undefined) throw new TypeError(`${name}: ${fault}`)
  const notFound =
    others.notFound ?? define(404, `${one}_not_found`, `${capitalized(inWords(one))} not found`)
  return conceal(table, {
    fields: Object.keys(fields),
    declared,
    sort,
    search,
    filter,
    one,
    notFound,
    readers: whoIs(readers),
    changers: whoIs(changers),
    changeable,
    unique,
  })
}

const whoIs = (who: string | Who | undefined): Who | undefined =>
  typeof who === 'string'
    ? Object.assign((row: RevealedTable, asker: SQL) => sql`${row[who]!} = ${asker}`, { field: who })
    : who

/** Columns whose value the database makes: generated ones, identities, serials. */
const isFilledIn = ({ generated, generatedIdentity, columnType }: PgColumn) =>
  generated !== undefined || generatedIdentity !== undefined || /^Pg\w*Serial/.test(columnType)

/** Custom types are allowed, as they may be text (`citext`). */
const isSearchable = (column: PgColumn) => isText(column) || column.dataType === 'custom'

/** What is wrong with a declaration, in words. */
function faultOf(
  table: PgTable,
  declared: Readonly<Record<string, Field>>,
  listing: Record<'sort' | 'search' | 'filter' | 'readers', readonly string[]>,
): string | undefined {
  const columns: Record<string, PgColumn> = getTableColumns(table)
  const filledIn = Object.values(columns).find(isFilledIn)
  if (filledIn) return `${filledIn.name} is written by the database, and so is no field of an owner's`
  const unsearchable = listing.search.find((field) => !isSearchable(columns[field]!))
  if (unsearchable !== undefined) return `${unsearchable} is no text, which q looks into`
  const unsorted = listing.sort.find((field) => !declared[field]!.isSortable)
  if (unsorted !== undefined) return `lists can't be sorted by ${unsorted}`
  const unfiltered = listing.filter.find((field) => declared[field]!.filter === 'none')
  if (unfiltered !== undefined)
    return `lists can't be filtered by ${unfiltered}: it is a list, JSON, or too long for an index`
  const reserved = listing.filter.find((field) => OF_LISTS.has(field))
  if (reserved !== undefined) return `a filter can't be named ${reserved}, which every list has`
  const full = Object.entries(declared).find(
    ([, { reference, isNullable }]) => reference?.onDelete === 'set null' && !isNullable,
  )
  if (full) return `${full[0]} can't be set to null: optional(reference(…))`
  const stranger = listing.readers.find((field) => declared[field]?.reference?.table() !== users)
  return stranger === undefined ? undefined : `${stranger} names no user: reference(() => users)`
}
