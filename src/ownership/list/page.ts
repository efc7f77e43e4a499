import { and, getTableColumns } from 'drizzle-orm'
import { CLIENT_CLOSED } from '../../contract/errors.ts'
import type { Database } from '../../database/connect.ts'
import type { Runs } from '../../database/statement.ts'
import { isDataException } from '../../database/faults.ts'
import { Recent, oneAtATime } from '../../database/one-at-a-time.ts'
import { mayLackKey } from '../../database/sort-key.ts'
import { rowReader, takeLast } from '../columns.ts'
import {
  CursorBesideSkip,
  type CursorOf,
  InvalidCursor,
  type Position,
  readCursor,
  writeCursor,
} from './cursor.ts'
import type { Filters } from './filters.ts'
import {
  type After,
  KEY,
  type ListOf,
  type Listed,
  type PageKind,
  TOTAL,
  type Values,
  columnOf,
  compilePage,
  containing,
  nameOf,
  sizeFor,
  ESTIMATED,
} from './page-sql.ts'
import { type SearchBounds, type SearchPage, searcher } from './search.ts'

/** Which rows of a list: `limit` at most, after the first `skip`, or after the page that gave `cursor`. */
export interface PageRequest<Sort extends string = string> {
  readonly skip?: number
  readonly limit: number
  /** Only rows that contain this text, ignoring case. Empty: all. */
  readonly q?: string | undefined
  /** A column, `-` before it for descending. Left out: newest first. */
  readonly sort?: Sort | `-${Sort}` | undefined
  readonly cursor?: string | undefined
}

/** Rows of one page, the number on all pages together, and the cursor of the next page; null at the end. */
export interface PageOf<Row> {
  data: Row[]
  count: number
  next_cursor: string | null
}

/** Which list, and what it can be asked. */
export interface PagesOf extends Omit<ListOf, 'table'> {
  /** Fields that `q` searches. */
  readonly search?: readonly string[]
  readonly filters?: Filters | undefined
  /** Of a search; for tests. */
  readonly bounds?: SearchBounds | undefined
}

/**
 * The list of a table: page and count in one statement, so in one round trip. Each kind of page (order, cursor, search,
 * size) is compiled when it is first asked for: there are many, and most are never used. Filters are one text, whichever
 * are given, and planned for their values.
 */
export function preparePages<Row, Sort extends string = 'created_at'>(
  db: Database,
  table: Listed,
  { search = [], filters, bounds, ...others }: PagesOf = {},
) {
  const whole = compileList({ table, ...others })
  const filtered =
    filters &&
    compileList({
      table,
      ...others,
      where: and(others.where, filters.condition),
      name: [others.name, 'filtered'].filter((word) => word !== undefined).join(' '),
      isOfAll: others.where === undefined,
      isPlannedEachTime: true,
    })
  const readRow = rowReader(table)

  function compileList(list: ListOf) {
    const statements = new Map<string, ReturnType<typeof compilePage>>()
    return {
      find: search.length > 0 ? searcher(list, search, bounds) : undefined,
      pageOfKind(kind: PageKind) {
        const name = nameOf(kind)
        const page = statements.get(name) ?? compilePage(list, kind)
        statements.set(name, page)
        return page
      },
    }
  }

  type Filter = ReturnType<Filters['read']> | undefined

  async function read(
    request: PageRequest,
    filter: Filter,
    values: Values,
    runs: Runs,
  ): Promise<PageOf<Row>> {
    const { skip = 0, limit, q = '', sort = '-created_at', cursor } = request
    const list = filtered && filter?.key ? filtered : whole
    const ordered = { sort, q, filter: filter?.key ?? '' }
    const after = cursor === undefined ? undefined : readCursor(cursor, ordered)
    if (after && skip > 0) throw new CursorBesideSkip()
    // One row more than the page has tells whether there is a next one.
    const given = { ...values, ...filter?.values, skip, limit: limit + 1, ...after }
    const kind = { sort, after: kindOf(after, table, columnOf(sort)) }
    if (q !== '' && list.find) {
      const found = list.find(runs, { ...kind, values: { ...given, pattern: containing(q) } })
      return pageUpTo(limit, await refusingForged(after, found), ordered)
    }
    const page = list.pageOfKind({ ...kind, size: skip > 0 ? undefined : sizeFor(given.limit) })
    const rows = await refusingForged(after, runs.run(page, given))
    const count = Number(rows[0]?.[TOTAL])
    if (rows[0]?.id === null) rows.length = 0 // after the last row: the total alone
    for (const row of rows) readRow(row)
    return pageUpTo(limit, { rows, count, end: undefined }, ordered)
  }
  const inTurn = inTurnWhereSlow()
  /**
   * @param isWanted whether the client still waits, asked when its turn has come
   * @param runs the database, or a transaction
   * @throws InvalidCursor where the cursor is of another list, or forged
   * @throws CursorBesideSkip where both are given; `skip=0` is allowed, as some generated clients always send it
   * @throws TooManyRequests where too many slow pages wait
   */
  return (
    request: PageRequest<Sort>,
    values: Values = {},
    isWanted = () => true,
    runs: Runs = db,
  ): Promise<PageOf<Row>> => {
    const filter = filters?.read(request)
    const { asker: owner = EVERYBODY } = values as { asker?: string }
    const isSelective = Boolean(request.q) || Boolean(filter?.key)
    return inTurn({ owner, isSelective, skip: request.skip ?? 0, isWanted }, () =>
      read(request as PageRequest, filter, values, runs),
    )
  }
}

/** Number of an owner's rows, or of skipped rows, from which on a page takes milliseconds. */
const LARGE = 2_000
const EVERYBODY = 'everybody'
/** Limits of the queue. Each statement is bounded in time, so the last in the queue is still in time. */
const WAITING = { most: 32, ms: 1_000 }

/**
 * Counting, skipping, filtering or searching many rows takes PostgreSQL many times as long as a page, and twenty such requests at
 * once would delay everybody else's. So they run one at a time: for each owner, and for lists of everything.
 */
function inTurnWhereSlow() {
  const largeOwners = new Recent<true>()
  const inTurn = oneAtATime(WAITING)

  /** Reads a page, and notes from a list of all that somebody may read whether it is a large one. */
  async function noting<Page extends { count: number }>(
    { owner, isSelective }: Asked,
    read: () => Promise<Page>,
  ) {
    const found = await read()
    if (!isSelective) {
      // A list of everything is not counted where it is larger than that.
      const isCounted = owner !== EVERYBODY || found.count <= ESTIMATED
      if (found.count > LARGE && isCounted) largeOwners.set(owner, true)
      else largeOwners.delete(owner)
    }
    return found
  }

  return <Page extends { count: number }>(asked: Asked, read: () => Promise<Page>): Promise<Page> => {
    const { owner, isSelective, skip, isWanted } = asked
    return isSelective || largeOwners.has(owner) || skip > LARGE
      ? inTurn(owner, async () => {
          if (!isWanted()) throw CLIENT_CLOSED
          const page = await noting(asked, read)
          if (!isWanted()) throw CLIENT_CLOSED
          return page
        })
      : noting(asked, read)
  }
}

/** A page that is asked for. */
interface Asked {
  /** Who reads their own rows, or everybody. */
  readonly owner: string
  /** Whether it is searched or filtered. */
  readonly isSelective: boolean
  readonly skip: number
  readonly isWanted: () => boolean
}

/** @param rows one more than `limit` where there is a next page; cut to the page in place */
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

/** In a forged cursor, the key may be no date, or the id no UUID. */
async function refusingForged<T>(after: Position | undefined, page: Promise<T>): Promise<T> {
  try {
    return await page
  } catch (error) {
    if (after && isDataException(error)) throw new InvalidCursor()
    throw error
  }
}
