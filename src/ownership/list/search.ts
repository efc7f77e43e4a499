import { type SQL, getTableColumns, getTableName, ilike, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type Runs, type Statement, statement } from '../../database/statement.ts'
import { type Row, commaSeparated, rowReader, selected } from '../columns.ts'
import {
  type After,
  KEY,
  type ListOf,
  type Order,
  TOTAL,
  type Values,
  nameOfList,
  orderOf,
  value,
  whereOf,
} from './page-sql.ts'

/**
 * Searches a list in bounded time, whatever is searched for. At 10^6 rows, the trigram index is no help for texts of one
 * or two characters, and for a text that most rows contain it is slower than reading the table. So PostgreSQL is asked
 * for its estimate (EXPLAIN, which reads no rows), and then one of three statements is run:
 *
 * - where few rows match, the trigram index finds them: page and count are exact;
 * - a short list is compared as a whole: both are exact;
 * - otherwise rows are compared in the order of the list until the page is full or enough were compared. The count is
 *   PostgreSQL's estimate, and a page may end early, with a cursor that goes on after the last row compared.
 *
 * The first two are bounded as well; where the estimate was wrong, the next one is tried.
 */
export interface SearchPage {
  /** Rows that match, `limit` at most. */
  readonly rows: Row[]
  readonly count: number
  /** Where the search stopped before the list did. */
  readonly end: Row | undefined
}

export interface SearchRequest {
  /** A column, `-` before it for descending. */
  readonly sort: string
  /** Where it does not begin at the beginning, `key` and `id` of the values are the position. */
  readonly after: After
  /** `limit`, `skip`, `pattern`, and what the list's condition names. */
  readonly values: Values & Record<'limit' | 'skip', number>
}

/** How much one search compares at most; both bounds hold. */
export interface SearchBounds {
  readonly rows: number
  readonly bytes: number
}

/** To compare so much takes a core about a quarter of a second. */
const BOUNDS: SearchBounds = { rows: 100_000, bytes: 16_000_000 }
/** In the order of a list, rows are read from all over the table. */
const SHARE_IN_ORDER = 0.5
/** However long the texts are. */
const LEAST_ROWS = 1_000
/** Text of any length may be stored apart, and is then no part of the width that PostgreSQL tells. */
const UNBOUNDED_WIDTH = 500

/** @param search names of the columns that are looked into */
export function searcher(listOf: ListOf, search: readonly string[], bounds = BOUNDS) {
  const { table } = listOf
  const columns = search.map((name) => getTableColumns(table)[name]!)
  const found = or(...columns.map((column) => ilike(column, value('pattern'))))!
  const estimate = compileEstimate(listOf, columns, found)
  const statements = new Map<string, Statement<Values, Row>>()
  const readRow = rowReader(table)
  const leastWidth = columns.filter((column) => !hasLength(column)).length * UNBOUNDED_WIDTH
  const mostOf = (width: number) =>
    Math.min(bounds.rows, Math.max(LEAST_ROWS, Math.floor(bounds.bytes / Math.max(1, width, leastWidth))))

  async function run(
    runs: Runs,
    way: Way,
    { sort, after, values }: SearchRequest,
    most: number,
  ): Promise<Row[]> {
    const name = `search of ${nameOfList(listOf)} by ${way}: ${sort} ${after}`
    const search =
      statements.get(name) ??
      longStatement(name, ways[way]({ listOf, found, order: orderOf(table, { sort, after }) }))
    statements.set(name, search)
    const rows = await runs.run(search, { ...values, most })
    for (const row of rows) if (row.id !== null) readRow(row)
    return rows
  }

  /** Page and count of all that match, unless there was more to look at than may be. */
  async function whole(runs: Runs, way: 'list' | 'index', request: SearchRequest, most: number) {
    const rows = await run(runs, way, request, most)
    if (rows[0]![IS_CUT]) return undefined
    return { rows: rows[0]!.id === null ? [] : rows, count: Number(rows[0]![TOTAL]), end: undefined }
  }

  async function inOrder(
    runs: Runs,
    request: SearchRequest,
    most: number,
    expected: number,
  ): Promise<SearchPage> {
    const found = await run(runs, 'order', request, most)
    const rows = found.filter((row) => row[IS_MATCH])
    const end = found.find((row) => row[IS_END])
    const atLeast = request.after === 'nothing' ? request.values.skip + rows.length : rows.length
    return { rows, count: Math.max(expected, atLeast), end }
  }

  return async function find(runs: Runs, request: SearchRequest): Promise<SearchPage> {
    const { listed, matching, byIndex, width } = readPlan(
      await runs.run(estimate, request.values),
      getTableName(table),
    )
    const most = mostOf(width)
    return (
      (byIndex && matching <= most && (await whole(runs, 'index', request, most))) ||
      (listed <= most * 2 && (await whole(runs, 'list', request, most))) ||
      inOrder(runs, request, Math.max(LEAST_ROWS, Math.ceil(most * SHARE_IN_ORDER)), matching)
    )
  }
}

const hasLength = (column: PgColumn) => 'length' in column && column.length !== undefined

/** Planned for its values each time: the best plan depends on the text that is sought. */
const longStatement = (name: string, text: SQL) => statement<Values, Row>(name, () => text, { isLong: true })

/** Without the condition on hidden rows, which PostgreSQL can't estimate; they are few. */
function compileEstimate(listOf: ListOf, columns: readonly PgColumn[], found: SQL) {
  const { table, where } = listOf
  const both = longStatement(
    `expected by a search of ${nameOfList(listOf)}`,
    sql`
    select ${commaSeparated(columns)} from ${table} ${whereOf({ where }, found)}
    union all select ${commaSeparated(columns)} from ${table} ${whereOf({ where })}`,
  )
  return { ...both, text: `explain (format json) ${both.text}` }
}

type Way = 'list' | 'index' | 'order'

const IS_CUT = 'is cut'
const IS_MATCH = 'is match'
const IS_END = 'is end'

interface Search {
  readonly listOf: ListOf
  /** Whether a row has what is sought in it. */
  readonly found: SQL
  readonly order: Order
}

/** `most` rows are compared, and no more. CTEs are named as no table is, which would be meant before. */
const ways: Record<Way, (search: Search) => SQL> = {
  list({ listOf, found, order }) {
    const { table } = listOf
    const matches = sql`
      select id, key from (
        select ${table.id}, ${order.keyIn(table)} as key, (${found}) as is_match
        from ${table} ${whereOf(listOf)} limit ${value('most')}
      ) as compared
      where is_match`
    const isCut = sql`exists (select from ${table} ${whereOf(listOf)} limit 1 offset ${value('most')})`
    return pageOfMatches(listOf, order, matches, isCut)
  },
  index({ listOf, found, order }) {
    const { table } = listOf
    const matches = sql`
      select ${table.id}, ${order.keyIn(table)} as key
      from ${table} ${whereOf(listOf, found)} limit ${value('most')}::bigint + 1`
    const isCut = sql`(select count(*) > ${value('most')}::bigint from "matching rows")`
    return pageOfMatches(listOf, order, matches, isCut)
  },
  order({ listOf, found, order }) {
    const { table } = listOf
    const key = order.keyIn(table)
    const follows = order.follows(key, table.id)
    const isShort = sql`(select count(*) from "hits on the way") < ${value('limit')}::bigint`
    const inOrder = sql`order by ${order.by(key, table.id)}`
    return sql`
    with "hits on the way" as materialized (
      select id from (
        select ${table.id}, (${found}) as is_match from ${table} ${whereOf(listOf, follows)} ${inOrder} limit ${value('most')}
      ) as compared
      where is_match limit ${value('limit')} offset ${value('skip')}
    ),
    "last row compared" as materialized (
      select ${table.id} from ${table} ${whereOf(listOf, follows, isShort)}
      ${inOrder} limit 1 offset ${value('most')}::bigint - 1
    )
    select id in (select id from "hits on the way") as ${sql.identifier(IS_MATCH)},
      id in (select id from "last row compared") as ${sql.identifier(IS_END)},
      ${columnsOfPage(table, order)}
    from (
      select * from ${table} where ${table.id} in (
        select id from "hits on the way" union all select id from "last row compared"
      )
    ) as page
    order by ${inOrderOfPage(order)}`
  },
}

/** Its total is one row, so a page past the end still has its count. */
function pageOfMatches({ table }: ListOf, order: Order, matches: SQL, isCut: SQL) {
  const id = sql`id`
  const key = sql`key`
  return sql`
    with "matching rows" as materialized (${matches})
    select (select count(*) from "matching rows") as ${sql.identifier(TOTAL)}, ${isCut} as ${sql.identifier(IS_CUT)},
      ${columnsOfPage(table, order)}
    from (values (1)) as one left join (
      select * from ${table} where ${table.id} in (
        select id from "matching rows" where ${order.follows(key, id) ?? sql`true`}
        order by ${order.by(key, id)} limit ${value('limit')} offset ${value('skip')}
      )
    ) as page on true
    order by ${inOrderOfPage(order)}`
}

const PAGE = sql`page`

const columnsOfPage = (table: ListOf['table'], { isWhole, keyIn }: Order) =>
  isWhole
    ? selected(table, PAGE)
    : sql`${selected(table, PAGE)}, ${keyIn(PAGE)}::text as ${sql.identifier(KEY)}`

const inOrderOfPage = ({ keyIn, by }: Order) => by(keyIn(PAGE), sql`page.id`)

/** What PostgreSQL expects: rows of the commaSeparated, those that match, and the bytes that are compared in each. */
function readPlan([answer]: Row[], table: string) {
  const [{ Plan }] = answer!['QUERY PLAN'] as [{ Plan: Plan }]
  const [matching, listed] = Plan.Plans as [Plan, Plan]
  return {
    matching: matching['Plan Rows'],
    listed: listed['Plan Rows'],
    width: listed['Plan Width'],
    // A database without pg_trgm has none, and texts too short for trigrams are not in it.
    byIndex: JSON.stringify(matching).includes(`"Index Name":"${table}_search_index"`),
  }
}

interface Plan {
  readonly 'Plan Rows': number
  readonly 'Plan Width': number
  readonly Plans?: readonly Plan[]
}
