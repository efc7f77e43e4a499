import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import {
  CursorBesideSkip,
  type CursorOf,
  InvalidCursor,
  type Position,
  readCursor,
  writeCursor,
} from './cursor.ts'
import { ClientClosedRequest } from '../contract/errors.ts'
import { isDataException } from '../database/faults.ts'
import { Recent, oneAtATime } from '../database/one-at-a-time.ts'
import {
  type After,
  KEY,
  type Listed,
  type PageKind,
  TOTAL,
  columnOf,
  containing,
  nameOf,
  prepareCount,
  preparePage,
  shown,
  sizeFor,
} from './page-statement.ts'
import { type SearchBounds, type SearchPage, searcher } from './search.ts'
import { mayLackKey } from '../database/sort-key.ts'
import { whenNeeded } from '../database/statements.ts'

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
 * follows a cursor, whether it searches, its size) is prepared when it is first asked for.
 *
 * @param search names of the columns that `q` looks into
 * @param where which rows there are at all; may name values, given to `read` as `values`
 * @param bounds of a search, other ones in tests alone
 * @param hidden as `PageKind` has it
 */
export function preparePages<Row, Sort extends string = 'created_at'>(
  db: Database,
  table: Listed,
  search: readonly string[] = [],
  where?: SQL,
  bounds?: SearchBounds,
  hidden?: SQL,
) {
  const statements = new Map<string, ReturnType<typeof preparePage>>()
  const isShown = shown({ where, hidden })
  const find = whenNeeded(() =>
    searcher(db, table, { search, where: isShown, estimated: where ?? sql`true`, bounds }),
  )
  const countAll = whenNeeded(() => prepareCount(db, table, hidden))
  const prepared = (kind: PageKind) => {
    const name = nameOf(kind)
    const made = statements.get(name) ?? preparePage(db, table, kind)
    statements.set(name, made)
    return made
  }

  /**
   * @throws InvalidCursor where the cursor is another list's, or made up
   * @throws CursorBesideSkip where both are asked for; `skip=0` is what some generated clients always send
   */
  async function read(request: PageRequest<Sort>, values: Values): Promise<PageOf<Row>> {
    const { skip = 0, limit, q = '', sort = '-created_at', cursor } = request as PageRequest
    const list = { sort, q }
    const after = cursor === undefined ? undefined : readCursor(cursor, list)
    if (after && skip > 0) throw new CursorBesideSkip()
    // One row more than is shown tells whether there is a next page.
    const given = { ...values, skip, limit: limit + 1, ...after }
    const kind = { sort, after: kindOf(after, table, columnOf(sort)) }
    if (q !== '' && search.length > 0) {
      const pattern = containing(q)
      const found = await refusingForged(after, find()({ ...kind, values: { ...given, pattern } }))
      return pageUpTo(limit, found, list)
    }
    const page = prepared({ ...kind, size: skip > 0 ? undefined : sizeFor(given.limit), where, hidden })
    const found: Found[] = await refusingForged(after, page.execute(given))
    const count = found[0]?.[TOTAL] ?? (await countAll().execute({}))[0]?.count ?? 0
    if (found[0]?.id === null) found.length = 0 // past the end, the total stands alone
    return pageUpTo(limit, { rows: found, count, end: undefined }, list)
  }
  return inTurnWhereSlow(read)
}

/** What `where` names: `asker` where it is about rows of one owner. */
type Values = Readonly<Record<string, unknown>>

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
  if (rows[0] && KEY in rows[0]) for (const row of rows) delete row[KEY]
  return { data: rows as unknown[] as Row[], count, next_cursor }
}

function kindOf(after: Position | undefined, table: Listed, column: string): After {
  if (!after) return 'nothing'
  const isLast = after.key === null && mayLackKey((table as Listed & Record<string, PgColumn>)[column]!)
  return isLast ? 'null' : 'key'
}

/** A row of the table, all null past the end, and the total. */
type Found = Record<string, unknown> & Record<typeof TOTAL, number | null>

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
