import type { SQL } from 'drizzle-orm'
import type { Database } from './connect.ts'
import { CursorBesideSkip, InvalidCursor, type Position, readCursor, writeCursor } from './cursor.ts'
import { isDataException } from './faults.ts'
import {
  type Listed,
  type PageKind,
  TOTAL,
  columnOf,
  containing,
  nameOf,
  prepareCount,
  preparePage,
  sizeFor,
} from './page-statement.ts'
import { whenNeeded } from './statements.ts'

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
 */
export function preparePages<Row, Sort extends string = 'created_at'>(
  db: Database,
  table: Listed,
  search: readonly string[] = [],
  where?: SQL,
) {
  const statements = new Map<string, ReturnType<typeof preparePage>>()
  const countAll = whenNeeded(() => prepareCount(db, table))
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
  return async function read(
    request: PageRequest<Sort>,
    values: Record<string, unknown> = {},
  ): Promise<PageOf<Row>> {
    const { skip = 0, limit, q = '', sort = '-created_at', cursor } = request as PageRequest
    const list = { sort, q }
    const after = cursor === undefined ? undefined : readCursor(cursor, list)
    if (after && skip > 0) throw new CursorBesideSkip()
    // One row more than is shown tells whether there is a next page.
    const given = { ...values, skip, limit: limit + 1, pattern: q && containing(q), ...after }
    const page = prepared({
      sort,
      follows: after !== undefined,
      size: skip > 0 || q !== '' ? undefined : sizeFor(given.limit),
      search: q === '' ? [] : search,
      where,
    }).execute(given)
    const found: Found[] = await refusingForged(after, page)
    const count = found[0]?.[TOTAL] ?? (await countAll().execute({}))[0]?.count ?? 0
    if (found[0]?.id === null) found.length = 0 // past the end, the total stands alone
    const last = found.length > limit ? found[limit - 1] : undefined
    if (last) found.length = limit
    return {
      data: found as unknown[] as Row[],
      count,
      next_cursor: last ? writeCursor(list, positionOf(last, columnOf(sort))) : null,
    }
  }
}

/** A row of the table, all null past the end, and the total. */
type Found = Record<string, unknown> & Record<typeof TOTAL, number | null>

function positionOf(row: Record<string, unknown>, column: string): Position {
  const key = row[column]
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
