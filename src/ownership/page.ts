import { type SQL, getTableColumns } from 'drizzle-orm'
import { ClientClosedRequest } from '../contract/errors.ts'
import type { Database } from '../database/connect.ts'
import { isDataException } from '../database/faults.ts'
import { Recent, oneAtATime } from '../database/one-at-a-time.ts'
import { mayLackKey } from '../database/sort-key.ts'
import { rowReader, takeLast } from './columns.ts'
import {
  CursorBesideSkip,
  type CursorOf,
  InvalidCursor,
  type Position,
  readCursor,
  writeCursor,
} from './cursor.ts'
import {
  type After,
  KEY,
  type Listed,
  type PageKind,
  TOTAL,
  type Values,
  columnOf,
  compilePage,
  containing,
  nameOf,
  sizeFor,
} from './page-sql.ts'
import { type SearchBounds, type SearchPage, searcher } from './search.ts'

/** Which rows of a list: `limit` at most, past the first `skip`, or past the page that gave `cursor`. */
export interface PageRequest<Sort extends string = string> {
  readonly skip?: number
  readonly limit: number
  /** Only rows with this text in them, whatever its case. Empty: all. */
  readonly q?: string | undefined
  /** A column, `-` before it for descending. Left out: newest first. */
  readonly sort?: Sort | `-${Sort}` | undefined
  readonly cursor?: string | undefined
}

/** Rows of one page, how many there are on all pages together, and the cursor of the next; null at the end. */
export interface PageOf<Row> {
  data: Row[]
  count: number
  next_cursor: string | null
}

/**
 * The list of a table: page and count in one statement, so in one round trip. Each kind of page (its order, whether it
 * follows a cursor, whether it searches, its size) is compiled when it is first asked for: most never are.
 *
 * @param search names of the columns that `q` looks into
 * @param where which rows there are at all; may name values as placeholders, given to `read` as `values`
 * @param bounds of a search, other ones in tests alone
 * @param hidden as `ListOf` has it
 */
export function preparePages<Row, Sort extends string = 'created_at'>(
  db: Database,
  table: Listed,
  search: readonly string[] = [],
  where?: SQL,
  bounds?: SearchBounds,
  hidden?: SQL,
) {
  const list = { table, where, hidden }
  const statements = new Map<string, ReturnType<typeof compilePage>>()
  const find = search.length > 0 ? searcher(db, list, search, bounds) : undefined
  const readRow = rowReader(table)
  const pageOfKind = (kind: PageKind) => {
    const name = nameOf(kind)
    const page = statements.get(name) ?? compilePage(list, kind)
    statements.set(name, page)
    return page
  }

  /**
   * @throws InvalidCursor where the cursor is another list's, or made up
   * @throws CursorBesideSkip where both are asked for; `skip=0` is what some generated clients always send
   */
  async function read(request: PageRequest<Sort>, values: Values): Promise<PageOf<Row>> {
    const { skip = 0, limit, q = '', sort = '-created_at', cursor } = request as PageRequest
    const ordered = { sort, q }
    const after = cursor === undefined ? undefined : readCursor(cursor, ordered)
    if (after && skip > 0) throw new CursorBesideSkip()
    // One row more than is shown tells whether there is a next page.
    const given = { ...values, skip, limit: limit + 1, ...after }
    const kind = { sort, after: kindOf(after, table, columnOf(sort)) }
    if (q !== '' && find) {
      const found = find({ ...kind, values: { ...given, pattern: containing(q) } })
      return pageUpTo(limit, await refusingForged(after, found), ordered)
    }
    const page = pageOfKind({ ...kind, size: skip > 0 ? undefined : sizeFor(given.limit) })
    const rows = await refusingForged(after, db.run(page, given))
    const count = Number(rows[0]?.[TOTAL])
    if (rows[0]?.id === null) rows.length = 0 // past the end, the total stands alone
    for (const row of rows) readRow(row)
    return pageUpTo(limit, { rows, count, end: undefined }, ordered)
  }
  return inTurnWhereSlow(read)
}

/** Rows of an owner, or rows passed over, from which on a page is more than a moment's work. */
const LARGE = 2_000
/** With each statement bounded by itself, the last one that waits is answered soon enough. */
const WAITING = { most: 32, ms: 1_000 }

/**
 * To count many rows, to pass over them or to search them takes PostgreSQL many times as long as a page does, and twenty
 * at once would hold up everybody else's. So such pages are read one at a time: of each owner, and of everybody's rows.
 */
function inTurnWhereSlow<Row, Sort extends string>(
  read: (request: PageRequest<Sort>, values: Values) => Promise<PageOf<Row>>,
) {
  const largeOwners = new Recent<true>()
  const inTurn = oneAtATime(WAITING)

  async function page(request: PageRequest<Sort>, values: Values, owner: string | undefined) {
    const found = await read(request, values)
    if (owner !== undefined && !request.q) {
      if (found.count > LARGE) largeOwners.set(owner, true)
      else largeOwners.delete(owner)
    }
    return found
  }

  /**
   * @param isWanted whether anybody waits for the page when its turn has come
   * @throws TooManyRequests where too many slow ones wait
   */
  return (request: PageRequest<Sort>, values: Values = {}, isWanted = () => true): Promise<PageOf<Row>> => {
    const owner = values.asker as string | undefined
    const isLarge = owner !== undefined && largeOwners.has(owner)
    return request.q || isLarge || (request.skip ?? 0) > LARGE
      ? inTurn(owner ?? 'everybody', async () => {
          if (!isWanted()) throw new ClientClosedRequest()
          return page(request, values, owner)
        })
      : page(request, values, owner)
  }
}

/** @param rows one more than `limit` where there are more; they are the page then, in their place */
function pageUpTo<Row>(limit: number, { rows, count, end }: SearchPage, list: CursorOf): PageOf<Row> {
  const last = rows.length > limit ? rows[limit - 1] : end
  const next_cursor = last ? writeCursor(list, positionOf(last, columnOf(list.sort))) : null
  if (rows.length > limit) rows.length = limit
  if (rows[0] && KEY in rows[0]) for (const row of rows) takeLast(row, KEY)
  return { data: rows as unknown[] as Row[], count, next_cursor }
}

function kindOf(after: Position | undefined, table: Listed, column: string): After {
  if (!after) return 'nothing'
  const isLast = after.key === null && mayLackKey(getTableColumns(table)[column]!)
  return isLast ? 'null' : 'key'
}

function positionOf(row: Record<string, unknown>, column: string): Position {
  const key = KEY in row ? row[KEY] : row[column]
  const text = key instanceof Date ? key.toISOString() : String(key)
  return { key: key === null ? null : text, id: String(row.id) }
}

/** What is in a cursor that this service did not write may be no date, or no id. */
async function refusingForged<T>(after: Position | undefined, page: Promise<T>): Promise<T> {
  try {
    return await page
  } catch (error) {
    if (after && isDataException(error)) throw new InvalidCursor()
    throw error
  }
}
