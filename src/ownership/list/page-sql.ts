import { type SQL, type SQLWrapper, and, getTableColumns, getTableName, sql } from 'drizzle-orm'
import { type PgColumn, type PgTable, getTableConfig } from 'drizzle-orm/pg-core'
import { typed } from '../../database/columns.ts'
import { isWhole, mayLackKey, sortKey } from '../../database/sort-key.ts'
import { statement } from '../../database/statement.ts'
import { type Row, selected } from '../columns.ts'

/** A table that can be listed. */
export type Listed = PgTable & Record<'id' | 'created_at', PgColumn>

/** Which rows of a table a list has. */
export interface ListOf {
  readonly table: Listed
  /** All where left out. May name values as placeholders. */
  readonly where?: SQL | undefined
  /** Rows that are no part of the list although they are in the table: few, and found by an index. */
  readonly hidden?: SQL | undefined
  /** What tells it from other lists of the table, for people. */
  readonly name?: string | undefined
  /** Whether how many rows it has depends on its values, so that each page is planned anew. */
  readonly isPlannedEachTime?: boolean
  /** Whether `where` is a filter of all rows. */
  readonly isOfAll?: boolean
}

/** Name of the column with the number of rows on all pages. No field has a name with a space. */
export const TOTAL = 'rows on all pages'

/** Name of the column with the sort key as text, where the value in TypeScript is less precise (sort-key.ts). */
export const KEY = 'sort key'

/** Where a page begins: at the beginning, after the position of a cursor, or after one among the rows whose key is null, which come last. */
export type After = 'nothing' | 'key' | 'null'

/** One kind of page of a list. */
export interface PageKind {
  /** A column, `-` before it for descending. */
  readonly sort: string
  readonly after: After
  /** The most rows that it may have. Undefined: any number, after the first `skip`. */
  readonly size: number | undefined
}

/** One row more than the default limit, and than the highest one. */
const SIZES = [101, 1_001]

export const sizeFor = (limit: number) => SIZES.find((size) => limit <= size)

/** For people. */
export const nameOfList = ({ table, where, name, isOfAll = where === undefined }: ListOf) =>
  [isOfAll ? 'all' : 'some', name, getTableName(table)].filter((word) => word !== undefined).join(' ')

/** Another one for each kind of one list. */
export const nameOf = ({ sort, after, size }: PageKind) => [sort, after, size].join(' ')

export const columnOf = (sort: string) => sort.replace(/^-/, '')

/** A LIKE pattern of what has `text` in it, in which nothing is a wildcard. */
export const containing = (text: string) => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`

/** `limit`, `skip`, `key` and `id` of a position, `pattern`, and what the list's condition names. */
export type Values = Readonly<Record<string, unknown>>

/** The value of a name. */
export const value = (name: string) => sql.placeholder(name)

/** The rows that a list shows, as far as `conditions` hold. */
export function whereOf({ where, hidden }: Omit<ListOf, 'table'>, ...conditions: (SQL | undefined)[]): SQL {
  // PostgreSQL takes half of the rows for hidden, whatever it thinks of the condition: where it expects nearly all of them
  // to be, it would sort the table instead of reading the page off the index.
  const shown = hidden && sql`case when ${hidden} then false else true end`
  const condition = and(where, shown, ...conditions)
  return condition ? sql`where ${condition}` : sql.empty()
}

/**
 * The statement of one kind of page: its rows and the total. Parameters: `limit`, `skip` where it has no size, `key` and
 * `id` of a cursor, and those of `where`. Served by an index on (…, key, id), read in either direction.
 */
export function compilePage(list: ListOf, kind: PageKind) {
  const { table } = list
  const order = orderOf(table, kind)
  const page = sql`page`
  const key = order.keyIn(page)
  // The total is one row, so a page past the end still has its count. Materialized: PostgreSQL would count once per row. Its
  // name has a space, as no table's has.
  return statement<Values, Row>(
    `page of ${nameOfList(list)}: ${nameOf(kind)}`,
    () => sql`
    with "total of rows" as materialized (${totalOf(list)})
    select ${selected(table, page)}, "total of rows".count::double precision as ${sql.identifier(TOTAL)}${
      order.isWhole ? sql.empty() : sql`, ${key}::text as ${sql.identifier(KEY)}`
    }
    from "total of rows"
    left join (${rowsOf(list, kind, order)}) as page on true
    order by ${order.by(key, sql`page.id`)}`,
    { isLong: list.isPlannedEachTime ?? false },
  )
}

export type Order = ReturnType<typeof orderOf>

/** @param kind `sort` names a column as TypeScript does */
export function orderOf(table: Listed, { sort, after }: Pick<PageKind, 'sort' | 'after'>) {
  const column = getTableColumns(table)[columnOf(sort)]!
  const isLast = mayLackKey(column)
  const [direction, beyond] = sort.startsWith('-') ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`]
  const ofKey = sort.startsWith('-') && isLast ? sql`desc nulls last` : direction
  // By way of text, as drivers write some values in ways of their own.
  const given = sql`(${sortKey(column, typed(column, sql`${value('key')}::text`))}, ${value('id')}::uuid)`

  /** What follows among the rows that have a key, or where there is none. */
  function past(key: SQLWrapper, id: SQLWrapper): SQL | undefined {
    if (after === 'nothing') return undefined
    if (after === 'null') return sql`(${key} is null and ${id} ${beyond} ${value('id')}::uuid)`
    return sql`(${key}, ${id}) ${beyond} ${given}`
  }
  return {
    isWhole: isWhole(column),
    isLast,
    /** The key of a row whose columns stand in `from`. */
    keyIn: (from: SQLWrapper) => sortKey(column, sql`${from}.${sql.identifier(column.name)}`),
    by: (key: SQLWrapper, id: SQLWrapper) => sql`${key} ${ofKey}, ${id} ${direction}`,
    past,
    /** All that follows. */
    follows(key: SQLWrapper, id: SQLWrapper) {
      const first = past(key, id)
      return after === 'key' && isLast ? sql`(${first} or ${key} is null)` : first
    },
  }
}

/**
 * The page is read off the index that has the rows in order, no further than the page goes. PostgreSQL takes a limit that
 * it does not know for a tenth of the table, and an offset too: it would plan each page of a large table anew, which
 * takes it as long as to read one. So it is told a size, and of an offset only where there is one.
 */
function rowsOf(list: ListOf, { size, after }: PageKind, order: Order): SQL {
  const { table } = list
  const key = order.keyIn(table)
  const rows = (condition: SQL | undefined) =>
    sql`select * from ${table} ${whereOf(list, condition)} order by ${order.by(key, table.id)}`
  const past = rows(order.past(key, table.id))
  if (size === undefined) return sql`${past} limit ${value('limit')} offset ${value('skip')}`
  const most = sql.raw(String(size))
  // One after the other, so that each is a part of the index, and the second is read where the first was too short.
  const first =
    after === 'key' && order.isLast
      ? sql`(${past} limit ${most}) union all (${rows(sql`${key} is null`)} limit ${most}) limit ${most}`
      : sql`${past} limit ${most}`
  return sql`
      select * from (${first}) as first
      order by ${order.by(order.keyIn(sql`first`), sql`first.id`)} limit ${value('limit')}
    `
}

/** A list of everything is counted exactly up to so many rows: 20 ms on two busy cores (2026-11-29). */
const EXACT = 100_000
/** Where PostgreSQL estimates more, none are counted. It takes a minute to notice that most rows were deleted. */
export const ESTIMATED = 2 * EXACT

/** The number of rows on all pages: exact, or PostgreSQL's estimate for a list of everything in a large table. */
function totalOf(list: ListOf): SQL {
  const { table, where, hidden } = list
  if (where) return sql`select count(*) as count from ${table} ${whereOf(list)}`
  const exact = sql.raw(String(EXACT))
  const ofHidden = hidden
    ? sql`select count(*) as count from ${table} where ${hidden}`
    : sql`select 0 as count`
  // In a large table nothing is read at all: not the hidden rows either.
  return sql`
      select case when reltuples > ${sql.raw(String(ESTIMATED))} then reltuples::double precision else (
        select case when shown.count > ${exact} then greatest(reltuples::double precision, ${exact}) else shown.count end
        from (${ofHidden}) as "hidden rows", lateral (
          select count(*) - "hidden rows".count as count
          from (select from ${table} limit ${exact} + 1 + "hidden rows".count) as counted
        ) as shown
      ) end as count
      from pg_class
      where oid = ${regclassOf(table)}
    `
}

function regclassOf(table: PgTable): SQL {
  const { schema, name } = getTableConfig(table)
  const names = [schema, name].filter((part) => part !== undefined)
  return sql.raw(`'${names.map((part) => `"${part}"`).join('.')}'::regclass`)
}
