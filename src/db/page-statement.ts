import {
  type SQL,
  type SQLWrapper,
  and,
  asc,
  count,
  desc,
  getTableColumns,
  getTableName,
  ilike,
  inArray,
  or,
  sql,
} from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Database } from './connect.ts'
import { sortKey } from './sort-key.ts'
import { typed, value } from './statements.ts'
import { rowCounts } from './tables.ts'

/** A table that can be listed. */
export type Listed = PgTable & Record<'id' | 'created_at', PgColumn>

/** What a row of the answer has beside its table's columns: the number of rows on all pages; null where it is to be counted. */
export const TOTAL = 'rows_on_all_pages'

/** One kind of page of a table. */
export interface PageKind {
  /** A column, `-` before it for descending. */
  readonly sort: string
  /** Whether it goes on after the position of a cursor. */
  readonly follows: boolean
  /** The most rows that it may have; undefined: any number, and `skip` of them passed over first. */
  readonly size: number | undefined
  /** The columns that are searched; none: all rows. */
  readonly search: readonly string[]
  readonly where: SQL | undefined
}

/** Rows of a page, one more than is asked for at most: as many as are asked for by default, and at most. */
const SIZES = [101, 1_001]

export const sizeFor = (limit: number) => SIZES.find((size) => limit <= size)

/** Another one for each kind of one list. */
export const nameOf = ({ sort, follows, size, search }: PageKind) =>
  [sort, follows, size, search.length > 0].join('_')

export const columnOf = (sort: string) => sort.replace(/^-/, '')

/** A LIKE pattern of what has `text` in it, in which nothing is a wildcard. */
export const containing = (text: string) => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`

/** The columns of `table` as they stand in a subquery or CTE that selects all of them. */
export function columnsIn<T extends PgTable>(table: T, from: object): T['_']['columns'] {
  const there = from as T['_']['columns']
  return Object.fromEntries(Object.keys(getTableColumns(table)).map((name) => [name, there[name]!]))
}

/**
 * Prepares the statement of one kind of page. It takes `limit`, `skip` where it has no size, where it follows `key` and
 * `id`, where it searches `pattern`, and what `where` names. Served by an index on (…, key, id), read in either direction.
 */
export function preparePage(db: Database, listed: Listed, kind: PageKind) {
  const table = listed as Columns
  const order = orderOf(table[columnOf(kind.sort)]!, kind)
  const searches = kind.search.length > 0
  const { ctes, total, page } = searches
    ? amongMatches(db, table, order, kind)
    : amongAll(db, table, order, kind)
  const columns = columnsIn(table, page)
  // The total is one row, so a page past the end still has its count.
  return db
    .with(...ctes)
    .select({ ...columns, [TOTAL]: sql<number | null>`${total.count}::double precision`.as(TOTAL) })
    .from(total)
    .leftJoin(page, sql`true`)
    .orderBy(...order.by(order.key(columns), columns.id!))
    .prepare(`${getTableName(table)}_${nameOf(kind)}`)
}

type Columns = Listed & Record<string, PgColumn>
type Order = ReturnType<typeof orderOf>

function orderOf(column: PgColumn, { sort, follows }: PageKind) {
  const [direction, beyond] = sort.startsWith('-') ? [desc, sql`<`] : [asc, sql`>`]
  const given = sql`(${sortKey(column, typed(column, value('key')))}, ${value('id')}::uuid)`
  return {
    /** The key of a row whose columns stand in `columns`. */
    key: (columns: Record<string, PgColumn>) => sortKey(column, columns[column.name]!),
    by: (key: SQLWrapper, id: SQLWrapper) => [direction(key), direction(id)],
    past: (key: SQLWrapper, id: SQLWrapper) =>
      follows ? sql`(${key}, ${id}) ${beyond} ${given}` : undefined,
  }
}

/**
 * The page is read off the index that has the rows in order, no further than the page goes. PostgreSQL takes a limit that
 * it does not know for a tenth of the table, and an offset too: it would plan each page of a large table anew, which
 * takes it as long as to read one. So it is told a size, and of an offset only where there is one.
 */
function amongAll(db: Database, table: Columns, { key, by, past }: Order, kind: PageKind) {
  const { where, size } = kind
  const counted = db
    .select({ count: count().as('count') })
    .from(table)
    .where(where)
  const total = (where === undefined ? maintained(db, table) : counted).as('total')
  const rows = db
    .select()
    .from(table)
    .where(and(where, past(key(table), table.id)))
    .orderBy(...by(key(table), table.id))
  if (size === undefined)
    return { ctes: [], total, page: rows.limit(value('limit')).offset(value('skip')).as('page') }
  // Written out: a number would be sent as a value.
  const first = rows.limit(sql.raw(String(size)) as never).as('first')
  const columns = columnsIn(table, first)
  const page = db
    .select()
    .from(first)
    .orderBy(...by(key(columns), columns.id!))
    .limit(value('limit'))
    .as('page')
  return { ctes: [], total, page }
}

/**
 * The number of all rows, as the writes of them have summed it up; null where they do not (tables.ts). (To count them
 * here in that case would be a part of each plan: of a large table, one of several processes, four times as slow to
 * start although it is not run.)
 */
function maintained(db: Database, table: PgTable) {
  const summed = sql`(select sum(delta) from ${rowCounts} where table_name = ${sql.raw(`'${getTableName(table)}'`)})`
  return db.select({ count: summed.as('count') }).from(sql`(values (1)) as one`)
}

/** Prepares the count of all rows, for where nothing has summed it up. */
export const prepareCount = (db: Database, table: PgTable) =>
  db
    .select({ count: count() })
    .from(table)
    .prepare(`${getTableName(table)}_count`)

/**
 * What is searched is found once, for page and count together. (Asked for a few matches in order, PostgreSQL would
 * hope to meet them soon on the index that has all rows in order, and read it to its end where they are rare.)
 */
function amongMatches(db: Database, table: Columns, { key, by, past }: Order, { where, search }: PageKind) {
  const found = or(...search.map((name) => ilike(table[name]!, value('pattern'))))
  const matches = db.$with('matches').as(
    db
      .select({ id: table.id, key: sql`${key(table)}`.as('key') })
      .from(table)
      .where(and(where, found)),
  )
  const ids = db
    .select({ id: matches.id })
    .from(matches)
    .where(past(matches.key, matches.id))
    .orderBy(...by(matches.key, matches.id))
    .limit(value('limit'))
    .offset(value('skip'))
  const total = db
    .select({ count: count().as('count') })
    .from(matches)
    .as('total')
  const page = db.select().from(table).where(inArray(table.id, ids)).as('page')
  return { ctes: [matches], total, page }
}
