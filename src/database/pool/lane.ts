import { setTimeout as pause } from 'node:timers/promises'
import postgres, { type Sql } from 'postgres'

/** A statement that waits for a connection, and then runs on one. */
export interface Statement {
  readonly make: Make
  /** Prepared: it may share a connection. */
  readonly isShort: boolean
  /** Whether `timestamptz` is to come as Date: Drizzle reads text. */
  readonly readsTimes: boolean
  readonly resolve: (rows: unknown) => void
  readonly reject: (error: Error) => void
  /** When its wait or its run must be over. */
  deadline: number
  query?: Query
  isGivenUp?: boolean
  /** Under way once it was given up and had its turn; never fails. */
  cancel?: Promise<void> | undefined
}

export type Make = (client: Sql, lane: Lane) => PromiseLike<unknown>

/** What the pool is told of a lane. */
export interface Ends {
  /** A statement has left it, whatever came of it. */
  left(lane: Lane): void
  /** Answers on it may be mixed up: it is not to be used again. */
  mixedUp(lane: Lane): void
}

/**
 * One connection, and what was sent down it, in that order. Arrays and no sets: a set that is added to and deleted from
 * all the time leaves tables behind that keep each other, and what was in them, from being collected young. It made
 * collections a third longer.
 */
export interface Lane {
  /** Of postgres.js, with this connection alone. */
  readonly client: Sql
  readonly ends: Ends
  readonly running: Statement[]
  /** Whether all that runs is short. */
  isShort: boolean
  /**
   * Whether it takes no more until one that runs has left that was given up, as a cancel goes to a connection and would
   * hit what is sent down it next.
   */
  isBarred: boolean
  /** Whether the last that was heard of it was an answer. */
  isUp: boolean
  /** How often its connection was closed. */
  losses: number
  /** When something was begun or ended on it. */
  movedAt: number
}

/** A connection on which nothing has ended for so long is held up, and gets no more. */
const HELD_UP_MS = 25

export function openLane(open: (closed: () => void) => Sql, ends: Ends): Lane {
  // Closed while it was idle, it has to be made again by the next statement, and none is sent behind that.
  const client = open(() => {
    lane.isUp = false
    lane.losses += 1
  })
  const lane: Lane = {
    client,
    ends,
    running: [],
    isShort: true,
    isBarred: false,
    isUp: false,
    losses: 0,
    movedAt: 0,
  }
  return lane
}

/**
 * Whether one more short statement is better sent down `lane` than down `other`, or than to wait at that depth. None is
 * sent behind the one for which a connection is being made: postgres.js 3.4.9 would keep it, make an attempt for each
 * where they fail, and go on with that once the lane was replaced, which leaves a connection behind.
 */
export const isFreer = (lane: Lane, other: Lane | undefined, depth: number, now: number) =>
  lane.isUp &&
  lane.isShort &&
  !lane.isBarred &&
  lane.running.length < (other?.running.length ?? depth) &&
  now - lane.movedAt < HELD_UP_MS &&
  !lane.running.some(isRetried)

/**
 * Where a prepared statement is unknown to the server (a pooler that keeps none) or its result would be another than
 * before, postgres.js 3.4.9 prepares it again, behind what was sent meanwhile, and takes the answers in the old order:
 * callers would get each other's rows. It notes that on the query before the next answer comes, so each answer on a
 * connection that others share is checked for it, and none is sent behind such a query.
 */
const mayBeMixedUp = ({ running }: Lane) => running.length > 1 && running.some(isRetried)

const isRetried = ({ query }: Statement) => query?.retried !== undefined

export function send(statement: Statement, lane: Lane, now: number): void {
  const { make, isShort, readsTimes, resolve, reject } = statement
  if (lane.running.length === 0) Object.assign(lane, { isShort, movedAt: now })
  const query = make(lane.client, lane) as PromiseLike<unknown> & Query
  statement.query = query
  lane.running.push(statement)
  const leave = () => {
    lane.running.splice(lane.running.indexOf(statement), 1)
    lane.isBarred = lane.running.some(({ isGivenUp }) => isGivenUp)
    lane.movedAt = performance.now()
    lane.ends.left(lane)
  }
  query.then(
    (rows) => {
      if (mayBeMixedUp(lane)) lane.ends.mixedUp(lane)
      lane.isUp = true
      if (statement.cancel) void statement.cancel.then(leave)
      else leave()
      return resolve(isShort || readsTimes ? movedOut(rows as unknown[], readsTimes) : rows)
    },
    (error: unknown) => {
      if (mayBeMixedUp(lane)) lane.ends.mixedUp(lane)
      lane.isUp = isAnswer(error)
      if (statement.cancel) void statement.cancel.then(leave)
      else if (lane.isUp) leave()
      else setTimeout(leave, CLOSED_AFTER_MS) // until then postgres.js would send more down what is broken
      return reject(error as Error)
    },
  )
}

const CLOSED_AFTER_MS = 1

/** FATAL and PANIC end the connection, or say that there is none. */
const isAnswer = (error: unknown) => error instanceof postgres.PostgresError && error.severity === 'ERROR'

/**
 * Gives a statement up that runs too long; called again until it has left the lane, which is when it has ended and its
 * cancel can hit none that comes later. (One that was sent behind it before may be hit where the statement ends just
 * then: that one is not done, and says so.)
 *
 * @param late makes what it is rejected with
 */
export function giveUp(statement: Statement, lane: Lane, late: () => Error): void {
  if (!statement.isGivenUp) statement.reject(late())
  lane.isBarred = statement.isGivenUp = true
  statement.cancel ??= statement.query && cancel(statement.query)
}

/**
 * Results of postgres.js are held until the next full collection, and all that is in them. What is moved out of them is
 * collected young: a third as much survives. And after a connection broke in the middle of an answer, postgres.js 3.4.9
 * goes on counting where it was: the next answer on it begins with as many holes.
 */
function movedOut(rows: unknown[] & { columns?: readonly ResultColumn[] }, readsTimes: boolean): unknown[] {
  const times = readsTimes ? (rows.columns ?? []).filter(({ type }) => type === TIMESTAMPTZ) : []
  const moved: unknown[] = []
  for (const row of rows) {
    if (row === undefined) continue
    for (const { name } of times) readTime(row as Record<string, unknown>, name)
    moved.push(row)
  }
  rows.length = 0
  return moved
}

interface ResultColumn {
  readonly name: string
  /** Its oid. */
  readonly type: number
}

const TIMESTAMPTZ = 1184

function readTime(row: Record<string, unknown>, name: string) {
  const text = row[name]
  if (text !== null) row[name] = new Date(text as string)
}

/** A query of postgres.js; a transaction has none of this. */
interface Query {
  /** Whether it is the one that the server is at. */
  readonly active?: boolean
  canceller?: ((query: unknown) => Promise<void>) | null
  /** Why it is tried again. */
  readonly retried?: unknown
}

/** A pooler or TLS may keep from us when it was passed on. */
const PASSED_ON_MS = 250

/**
 * As `query.cancel()` of postgres.js, with three faults of 3.4.9 avoided: it lets nobody catch that the server could not
 * be reached, which ends the process; it loses a connection that is still being made; and where a query waits behind
 * another, its answer goes to the one behind it. So only that which the server is at is cancelled.
 *
 * @returns what ends when the server has closed the connection that a cancel takes: it has been passed on then.
 *   Undefined where there is nothing to cancel yet
 */
function cancel(query: Query): Promise<void> | undefined {
  const { active, canceller } = query
  if (!active || !canceller) return undefined
  query.canceller = null
  return Promise.race([canceller(query).catch(() => undefined), pause(PASSED_ON_MS)])
}
