import { createHash } from 'node:crypto'
import { InvalidInput } from '../../contract/errors.ts'

/** Position of the last row of a page: its sort key as text, and its id. */
export interface Position {
  readonly key: string | null
  readonly id: string
}

/** The list that a cursor belongs to. */
export interface CursorOf {
  readonly sort: string
  readonly q: string
  /** Its filters, as text; empty without any. */
  readonly filter: string
}

/** An opaque text for clients: the position, bound to the order, the search and the filters of its list. */
export function writeCursor({ sort, q, filter }: CursorOf, { key, id }: Position): string {
  const search =
    q === '' && filter === '' ? NO_SEARCH : digest(filter === '' ? q : JSON.stringify([q, filter]))
  return Buffer.from(JSON.stringify([sort, search, key, id])).toString('base64url')
}

const digest = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 8)

/** Computed once: most lists are not searched. */
const NO_SEARCH = digest('')

/** @throws InvalidCursor where `writeCursor` did not write it for this list */
export function readCursor(cursor: string, list: CursorOf): Position {
  const position = positionIn(cursor)
  if (!position || writeCursor(list, position) !== cursor) throw new InvalidCursor()
  return position
}

function positionIn(cursor: string): Position | undefined {
  try {
    const [, , key, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    const isKey = typeof key === 'string' || key === null
    return isKey && typeof id === 'string' ? { key, id } : undefined
  } catch {
    return undefined
  }
}

export class InvalidCursor extends InvalidInput {
  constructor() {
    super(['query', 'cursor'], 'Input should be the next_cursor of the same list')
  }
}

export class CursorBesideSkip extends InvalidInput {
  constructor() {
    super(['query', 'cursor'], 'Value should not be sent together with skip')
  }
}
