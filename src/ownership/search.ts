import { type SQL, and, count, getTableColumns, getTableName, ilike, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { type After, KEY, type Listed, type Order, TOTAL, orderOf } from './page-statement.ts'
import { prepareText } from '../database/pool/prepared.ts'
import { value } from '../database/statements.ts'

/**
 * Lists that are searched, in bounded time whatever is sought: at 10^6 rows, a text of one or two characters has no
 * index, and one that most rows have is found there more slowly than by reading the table. So PostgreSQL is asked how
 * many rows it expects (EXPLAIN, which reads none of them), and then one of three statements is run:
 *
 * - what few rows have is looked up in the index of trigrams: page and count are exact;
 * - a list that can be compared as a whole is: both are exact;
 * - else rows are compared in the order of the list until the page is full or enough were compared. The count is
 *   PostgreSQL's estimate, and a page may end early, with a cursor that goes on behind the last row compared.
 *
 * The first two are cut off as well where the estimate was wrong, and the next is tried.
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
  readonly values: Readonly<Record<string, unknown>> & Record<'limit' | 'skip', number>
}

type Row = Record<string, unknown>
type Columns = Listed & Record<string, PgColumn>

/** How much one search compares at most; both bounds hold. */
export interface SearchBounds {
  readonly rows: number
  readonly bytes: number
}

/** To compare so much takes a core about a quarter of a second. */
const BOUNDS: SearchBounds = { rows: 100_000, bytes: 16_000_000 }
/** However long the texts are. */
const LEAST_ROWS = 1_000
/** Text of any length may be stored apart, and is then no part of the width that PostgreSQL tells. */
const UNBOUNDED_WIDTH = 500

interface Searched {
  /** Names of the columns that are looked into. */
  readonly search: readonly string[]
  readonly where?: SQL | undefined
  /** The same without what few rows are left out for, which PostgreSQL can't estimate. */
  readonly estimated?: SQL | undefined
  readonly bounds?: SearchBounds | undefined
}

export function searcher(
  db: Database,
  listed: Listed,
  { search, where = sql`true`, estimated = where, bounds = BOUNDS }: Searched,
) {
  const table = listed as Columns
  const found = or(...search.map((name) => ilike(table[name]!, value('pattern'))))!
  const texts = sql.join(
    search.map((name) => table[name]!),
    sql`, `,
  )
  const estimate = prepareText(
    db,
    sql`explain (format json) select ${texts} from ${table} where ${and(estimated, found)}
      union all select ${texts} from ${table} where ${estimated}`,
  )
  const statements = new Map<string, ReturnType<typeof prepareText>>()
  const read = readerOf(table)
  const leastWidth = search.filter((name) => !hasLength(table[name]!)).length * UNBOUNDED_WIDTH
  const mostOf = (width: number) =>
    Math.min(bounds.rows, Math.max(LEAST_ROWS, Math.floor(bounds.bytes / Math.max(1, width, leastWidth))))

  async function run(way: Way, { sort, after, values }: SearchRequest, most: number): Promise<Row[]> {
    const name = `${way} ${sort} ${after}`
    let statement = statements.get(name)
    if (!statement) {
      const order = orderOf(table, { sort, after })
      statement = prepareText(db, ways[way]({ table, found, where, order }))
      statements.set(name, statement)
    }
    return statement({ ...values, most })
  }

  /** Page and count of all that match, unless there was more to look at than may be. */
  async function whole(way: 'list' | 'index', request: SearchRequest, most: number) {
    const rows = await run(way, request, most)
    if (rows[0]![IS_CUT]) return undefined
    const found = rows[0]!.id === null ? [] : rows.map(read)
    return { rows: found, count: Number(rows[0]![TOTAL]), end: undefined }
  }

  async function inOrder(request: SearchRequest, most: number, expected: number): Promise<SearchPage> {
    const found = await run('order', request, most)
    const rows = found.filter((row) => row[IS_MATCH]).map(read)
    const end = found.find((row) => row[IS_END])
    const atLeast = request.after === 'nothing' ? request.values.skip + rows.length : rows.length
    return { rows, count: Math.max(expected, atLeast), end: end && read(end) }
  }

  return async function find(request: SearchRequest): Promise<SearchPage> {
    const { listed, matching, byIndex, width } = readPlan(await estimate(request.values), getTableName(table))
    const most = mostOf(width)
    return (
      (byIndex && matching <= most && (await whole('index', request, most))) ||
      (listed <= most * 2 && (await whole('list', request, most))) ||
      inOrder(request, most, matching)
    )
  }
}

const hasLength = (column: PgColumn) => (column as { length?: number }).length !== undefined

type Way = 'list' | 'index' | 'order'

const IS_CUT = 'is cut'
const IS_MATCH = 'is match'
const IS_END = 'is end'

// Named as no table is, which would be meant before.
const MATCHES = sql.identifier('matching rows')
const HITS = sql.identifier('hits on the way')
const ENDS = sql.identifier('last row compared')

interface Search {
  readonly table: Columns
  /** Whether a row has what is sought in it. */
  readonly found: SQL
  readonly where: SQL
  readonly order: Order
}

/** `most` rows are compared, and no more. */
const ways: Record<Way, (search: Search) => SQL> = {
  list({ table, found, where, order }) {
    const compared = sql`select ${table.id}, ${order.key(table)} as key, (${found}) as is_match
      from ${table} where ${where} limit ${value('most')}`
    const isCut = sql`exists (select from ${table} where ${where} limit 1 offset ${value('most')})`
    return pageOfMatches(
      table,
      order,
      sql`select id, key from (${compared}) as compared where is_match`,
      isCut,
    )
  },
  index({ table, found, where, order }) {
    const matches = sql`select ${table.id}, ${order.key(table)} as key
      from ${table} where ${and(where, found)} limit ${value('most')}::bigint + 1`
    return pageOfMatches(
      table,
      order,
      matches,
      sql`(select ${count()} > ${value('most')}::bigint from ${MATCHES})`,
    )
  },
  order({ table, found, where, order }) {
    const { key, by } = order
    const inOrder = sql`order by ${sql.join(by(key(table), table.id), sql`, `)}`
    const follows = and(where, order.follows(key(table), table.id))
    return sql`with ${HITS} as materialized (
        select id from (
          select ${table.id}, (${found}) as is_match from ${table} where ${follows} ${inOrder} limit ${value('most')}
        ) as compared
        where is_match limit ${value('limit')} offset ${value('skip')}
      ), ${ENDS} as materialized (
        select ${table.id} from ${table}
        where ${follows} and (select count(*) from ${HITS}) < ${value('limit')}::bigint
        ${inOrder} limit 1 offset ${value('most')}::bigint - 1
      )
      select ${columnsOfPage(table, order)},
        id in (select id from ${HITS}) as ${sql.identifier(IS_MATCH)},
        id in (select id from ${ENDS}) as ${sql.identifier(IS_END)}
      from (
        select * from ${table} where ${table.id} in (select id from ${HITS} union all select id from ${ENDS})
      ) as page
      ${inOrderOfPage(table, order)}`
  },
}

/** Its total is one row, so a page past the end still has its count. */
const pageOfMatches = (table: Columns, order: Order, matches: SQL, isCut: SQL) => {
  const { by } = order
  const id = sql`id`
  const key = sql`key`
  return sql`with ${MATCHES} as materialized (${matches})
    select ${columnsOfPage(table, order)},
      (select count(*) from ${MATCHES}) as ${sql.identifier(TOTAL)}, ${isCut} as ${sql.identifier(IS_CUT)}
    from (values (1)) as one left join (
      select * from ${table} where ${table.id} in (
        select id from ${MATCHES} where ${order.follows(key, id) ?? sql`true`}
        order by ${sql.join(by(key, id), sql`, `)} limit ${value('limit')} offset ${value('skip')}
      )
    ) as page on true
    ${inOrderOfPage(table, order)}`
}

const ofPage = (name: string) => sql`page.${sql.identifier(name)}`

function columnsOfPage(table: Columns, { isWhole, keyOf }: Order) {
  const columns = Object.entries(getTableColumns(table)).map(
    ([name, column]) => sql`${ofPage(column.name)} as ${sql.identifier(name)}`,
  )
  if (!isWhole) columns.push(sql`${keyOf(ofPage)}::text as ${sql.identifier(KEY)}`)
  return sql.join(columns, sql`, `)
}

function inOrderOfPage(table: Columns, { keyOf, by }: Order) {
  return sql`order by ${sql.join(by(keyOf(ofPage), ofPage(table.id.name)), sql`, `)}`
}

/** What PostgreSQL expects: rows of the list, those that match, and the bytes that are compared in each. */
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

function readerOf(table: Columns) {
  const columns = Object.entries(getTableColumns(table))
  return (answer: Row): Row => {
    const row: Row = {}
    for (const [name, column] of columns)
      row[name] = answer[name] === null ? null : column.mapFromDriverValue(answer[name])
    if (KEY in answer) row[KEY] = answer[KEY]
    return row
  }
}
