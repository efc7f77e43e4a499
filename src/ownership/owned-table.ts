import { type SQL, getTableColumns, getTableName, sql } from 'drizzle-orm'
import {
  type ExtraConfigColumn,
  type IndexBuilder,
  type PgColumn,
  type PgColumnBuilderBase,
  type PgTable,
  type CheckBuilder,
  check,
  index,
  pgTable,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { type ApiErrorKind, define } from '../contract/errors.ts'
import { isText, mayLackKey, sortKey } from '../database/sort-key.ts'
import { users } from '../database/tables.ts'
import { type Field, column, columnOf } from './fields.ts'
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

/** Whether a row of the table may not be deleted as long as rows of another one refer to it. */
export const refersWithRestrict = (table: RevealedTable): boolean =>
  [...revealed.values()]
    .flatMap(({ ownership }) => Object.values(ownership.declared))
    .some(({ reference }) => reference?.onDelete === 'restrict' && reference.table() === table)

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

/** Columns that every owned table has. */
const GIVEN = ['id', 'owner_id', 'created_at']
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
    Object.entries(fields).map(([field, value]) => [
      field,
      isField(value) ? value : column(ANY, () => value),
    ]),
  )
  const isShared = [readers, changers].filter((who) => typeof who === 'string')
  const table = makeTable(name, declared, fields, { sort, filter, unique, readers: isShared })
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

const ANY = {} as Field['schema']

const isField = (value: Field | PgColumnBuilderBase): value is Field => 'isSortable' in value

const whoIs = (who: string | Who | undefined): Who | undefined =>
  typeof who === 'string'
    ? Object.assign((row: RevealedTable, asker: SQL) => sql`${row[who]!} = ${asker}`, { field: who })
    : who

function makeTable(
  name: string,
  declared: Readonly<Record<string, Field>>,
  given: Fields,
  { sort, filter, unique, readers }: Record<'sort' | 'filter' | 'unique' | 'readers', readonly string[]>,
): RevealedTable {
  const taken = GIVEN.find((field) => field in declared)
  if (taken !== undefined) throw new TypeError(`${name}: every owned table has its own ${taken}`)
  const columns = Object.entries(declared).map(([field, declaration]) => {
    const builder = isField(given[field]!) ? columnOf(declaration) : given[field]!
    return [field, referring(builder, declaration)]
  })
  const table = pgTable(
    name,
    {
      id: uuid().primaryKey().defaultRandom(),
      ...(Object.fromEntries(columns) as Record<string, PgColumnBuilderBase>),
      owner_id: uuid()
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
      created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
    },
    (columns): (IndexBuilder | CheckBuilder)[] => {
      // Those of an index are copies without the length of their type.
      const typed: Record<string, PgColumn> = getTableColumns(table)
      const copies = columns as unknown as Record<string, PgColumn & ExtraConfigColumn>
      return [
        ...['created_at', ...sort].flatMap((field) => sortIndexes(name, field, typed[field]!, copies)),
        ...filter
          .filter((field) => isText(typed[field]!) || !sort.includes(field))
          .flatMap((field) => filterIndexes(name, field, copies)),
        ...Object.entries(declared)
          .filter(([field, { reference }]) => reference !== undefined || readers.includes(field))
          .filter(([field]) => !filter.includes(field) && !sort.includes(field))
          .map(([field]) => index(`${name}_${field}_index`).on(copies[field]!)),
        ...unique.map((field) =>
          uniqueIndex(`${name}_owner_id_${field}_unique`).on(copies.owner_id!, copies[field]!),
        ),
        ...Object.entries(declared).flatMap(([field, declaration]) =>
          declaration.check
            ? [check(`${name}_${field}_check`, declaration.check(sql.identifier(typed[field]!.name)))]
            : [],
        ),
      ]
    },
  )
  return table as unknown as RevealedTable
}

interface Referring {
  references(column: () => PgColumn, actions: object): PgColumnBuilderBase
}

function referring(builder: PgColumnBuilderBase, { reference }: Field): PgColumnBuilderBase {
  if (!reference) return builder
  const { table, onDelete } = reference
  // The id of any table, owned or not.
  const id = () => (table() as RevealedTable).id
  return (builder as PgColumnBuilderBase & Referring).references(id, { onDelete })
}

type Copies = Record<string, PgColumn & ExtraConfigColumn>

/** For an owner's list and the list of all, in both directions. */
function sortIndexes(name: string, field: string, column: PgColumn, copies: Copies): IndexBuilder[] {
  const { id, owner_id } = copies
  const key = sortKey(column, copies[field]!)
  const indexes = [
    index(`${name}_owner_id_${field}_id_index`).on(owner_id!, key, id!),
    index(`${name}_${field}_id_index`).on(key, id!),
  ]
  if (!mayLackKey(column)) return indexes
  // Nulls are last in both directions, which takes an index for each.
  const falling = [sql`${key} desc nulls last`, sql`${id!} desc`] as const
  return [
    ...indexes,
    index(`${name}_owner_id_${field}_desc_index`).on(owner_id!, ...falling),
    index(`${name}_${field}_desc_index`).on(...falling),
  ]
}

const filterIndexes = (name: string, field: string, { owner_id, ...copies }: Copies): IndexBuilder[] => [
  index(`${name}_owner_id_${field}_filter_index`).on(owner_id!, copies[field]!),
  index(`${name}_${field}_filter_index`).on(copies[field]!),
]

/** Columns whose value the database makes: generated ones, identities, serials. */
const isFilledIn = ({ generated, generatedIdentity, columnType }: PgColumn) =>
  generated !== undefined || generatedIdentity !== undefined || /^Pg\w*Serial/.test(columnType)

/** Custom types are allowed, as they may be text (`citext`). */
const isSearchable = (column: PgColumn) => isText(column) || column.dataType === 'custom'

/** What is wrong with a declaration, in words. */
function faultOf(
  table: RevealedTable,
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
  const stranger = listing.readers.find((field) => declared[field]?.reference?.table() !== users)
  return stranger === undefined ? undefined : `${stranger} names no user: reference(() => users)`
}
