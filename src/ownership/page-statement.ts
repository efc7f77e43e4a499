import {
  type SQL,
  type SQLWrapper,
  and,
  asc,
  count,
  desc,
  getTableColumns,
  getTableName,
  not,
  sql,
} from 'drizzle-orm'
import { type PgColumn, type PgTable, unionAll } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { isWhole, mayLackKey, sortKey } from '../database/sort-key.ts'
import { typed, value } from '../database/statements.ts'
import { rowCounts } from '../database/tables.ts'

/** A table that can be listed. */
export type Listed = PgTable & Record<'id' | 'created_at', PgColumn>

/** What a row of the answer has beside its table's columns: the number of rows on all pages; null where it is to be counted. */
export const TOTAL = 'rows on all pages'

/** And the key that it is sorted by, as text, where its column does not say all of it. No field has a name with a space. */
export const KEY = 'sort key'

/** What a page goes on after: nothing, the position of a cursor, or one among the rows without a key, which come last. */
export type After = 'nothing' | 'key' | 'null'

/** One kind of page of a table. */
export interface PageKind {
  /** A column, `-` before it for descending. */
  readonly sort: string
  readonly after: After
  /** The most rows that it may have; undefined: any number, and `skip` of them passed over first. */
  readonly size: number | undefined
  readonly where: SQL | undefined
  /** Rows that are no part of the list although they are in the table: few, and found by an index. */
  readonly hidden?: SQL | undefined
}

/** Rows of a page, one more than is asked for at most: as many as are asked for by default, and at most. */
const SIZES = [101, 1_001]

export const sizeFor = (limit: number) => SIZES.find((size) => limit <= size)

/** Another one for each kind of one list. */
export const nameOf = ({ sort, after, size }: PageKind) => [sort, after, size].join('_')

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
 * `id`, and what `where` names. Served by an index on (…, key, id), read in either direction.
 */
export function preparePage(db: Database, listed: Listed, kind: PageKind) {
  const table = listed as Columns
  const order = orderOf(table, kind)
  const { total, page } = pageAndTotal(db, table, order, kind)
  const columns = columnsIn(table, page)
  // The total is one row, so a page past the end still has its count.
  return db
    .select({
      ...columns,
      [TOTAL]: sql<number | null>`${total.count}::double precision`.as(TOTAL),
      ...(order.isWhole ? {} : { [KEY]: sql<string | null>`${order.key(columns)}::text`.as(KEY) }),
    })
    .from(total)
    .leftJoin(page, sql`true`)
    .orderBy(...order.by(order.key(columns), columns.id!))
    .prepare(`${getTableName(table)}_${nameOf(kind)}`)
}

type Columns = Listed & Record<string, PgColumn>
export type Order = ReturnType<typeof orderOf>

/** @param kind `sort` names a column as TypeScript does */
export function orderOf(table: Columns, { sort, after }: Pick<PageKind, 'sort' | 'after'>) {
  const name = columnOf(sort)
  const column = table[name]!
  const falls = sort.startsWith('-')
  const [direction, beyond] = falls ? [desc, sql`<`] : [asc, sql`>`]
  const isLast = mayLackKey(column)
  // By way of text, as drivers write some values in ways of their own.
  const given = sql`(${sortKey(column, typed(column, sql`${value('key')}::text`))}, ${value('id')}::uuid)`
  return {
    isWhole: isWhole(column),
    isLast,
    /** The key of a row whose columns stand in `columns`. */
    key: (columns: Record<string, PgColumn>) => sortKey(column, columns[name]!),
    keyOf: (named: (column: string) => SQL) => sortKey(column, named(column.name)),
    by: (key: SQLWrapper, id: SQLWrapper) => [
      falls && isLast ? sql`${key} desc nulls last` : direction(key),
      direction(id),
    ],
    /** What follows among the rows that have a key, or where there is none. */
    past(key: SQLWrapper, id: SQLWrapper) {
      if (after === 'nothing') return undefined
      if (after === 'null') return sql`(${key} is null and ${id} ${beyond} ${value('id')}::uuid)`
      return sql`(${key}, ${id}) ${beyond} ${given}`
    },
    /** All that follows. */
    follows(key: SQLWrapper, id: SQLWrapper) {
      const past = this.past(key, id)
      return after === 'key' && isLast ? sql`(${past} or ${key} is null)` : past
    },
  }
}

/**
 * What a list shows. PostgreSQL takes half of the rows for hidden, whatever it thinks of the condition: where it expects
 * nearly all of them to be, it would sort the table instead of reading the page off the index.
 */
export const shown = ({ where, hidden }: Pick<PageKind, 'where' | 'hidden'>) =>
  and(where, hidden && sql`case when ${hidden} then false else true end`)

/**
 * The page is read off the index that has the rows in order, no further than the page goes. PostgreSQL takes a limit that
 * it does not know for a tenth of the table, and an offset too: it would plan each page of a large table anew, which
 * takes it as long as to read one. So it is told a size, and of an offset only where there is one.
 */
function pageAndTotal(db: Database, table: Columns, order: Order, kind: PageKind) {
  const { key, by } = order
  const { size, hidden } = kind
  const where = shown(kind)
  const counted = db
    .select({ count: count().as('count') })
    .from(table)
    .where(where)
  const total = (kind.where === undefined ? maintained(db, table, hidden) : counted).as('total')
  const rowsOf = (condition: SQL | undefined) =>
    db
      .select()
      .from(table)
      .where(and(where, condition))
      .orderBy(...by(key(table), table.id))
  const past = rowsOf(order.past(key(table), table.id))
  if (size === undefined) return { total, page: past.limit(value('limit')).offset(value('skip')).as('page') }
  // Written out: a number would be sent as a value.
  const most = sql.raw(String(size)) as never
  const rest = () => rowsOf(sql`${key(table)} is null`).limit(most)
  // One after the other, so that each is a part of the index, and the second is read where the first was too short.
  const first =
    kind.after === 'key' && order.isLast
      ? unionAll(past.limit(most), rest()).limit(most).as('first')
      : past.limit(most).as('first')
  const columns = columnsIn(table, first)
  const page = db
    .select()
    .from(first)
    .orderBy(...by(key(columns), columns.id!))
    .limit(value('limit'))
    .as('page')
  return { total, page }
}

/**
 * The number of all rows, as the writes of them have summed it up; null where they do not (tables.ts). (To count them
 * here in that case would be a part of each plan: of a large table, one of several processes, four times as slow to
 * start although it is not run.)
 */
function maintained(db: Database, table: PgTable, hidden: SQL | undefined) {
  const summed = sql`(select sum(delta) from ${rowCounts} where table_name = ${sql.raw(`'${getTableName(table)}'`)})`
  if (hidden) summed.append(sql` - (select count(*) from ${table} where ${hidden})`)
  return db.select({ count: summed.as('count') }).from(sql`(values (1)) as one`)
}

/** Prepares the count of all rows, for where nothing has summed it up. */
export const prepareCount = (db: Database, table: PgTable, hidden?: SQL) =>
  db
    .select({ count: count() })
    .from(table)
    .where(hidden && not(hidden))
    .prepare(`${getTableName(table)}_count`)
