import type { Sql } from 'postgres'

/** A statement that waits for a connection, and then runs on one. */
export interface Statement {
  readonly make: Make
  /** Prepared: it may share a connection. */
  readonly isShort: boolean
  readonly resolve: (rows: unknown) => void
  readonly reject: (error: Error) => void
  /** When its wait or its run must be over. */
  deadline: number
  query?: unknown
  isGivenUp?: boolean
  /** Under way once it was given up and had its turn; never fails. */
  cancel?: Promise<void> | undefined
}

export type Make = (client: Sql) => PromiseLike<unknown>

/**
 * One connection, and what was sent down it, in that order. Arrays and no sets: a set that is added to and deleted from
 * all the time leaves tables behind that keep each other, and what was in them, from being collected young. It made
 * collections a third longer.
 */
export interface Lane {
  /** Of postgres.js, with this connection alone. */
  readonly client: Sql
  readonly running: Statement[]
  /** Whether all that runs is short. */
  isShort: boolean
  /** Whether one that runs was given up: a cancel goes to a connection, and would hit what is sent down it next. */
  isGivingUp: boolean
  /** When something was begun or ended on it. */
  movedAt: number
}

/** Statements that are sent down one connection before the first has ended. */
const DEEPEST = 8
/** A connection on which nothing has ended for so long is held up, and gets no more. */
const HELD_UP_MS = 25

export const openLane = (client: Sql): Lane => ({
  client,
  running: [],
  isShort: true,
  isGivingUp: false,
  movedAt: 0,
})

/** Whether one more short statement is better sent down `lane` than down `other`. */
export const isFreer = (lane: Lane, other: Lane | undefined, now: number) =>
  lane.isShort &&
  !lane.isGivingUp &&
  lane.running.length < (other?.running.length ?? DEEPEST) &&
  now - lane.movedAt < HELD_UP_MS

/** @param left is called when the statement has left the lane, whatever came of it */
export function send(statement: Statement, lane: Lane, now: number, left: () => void): void {
  const { make, isShort, resolve, reject } = statement
  if (lane.running.length === 0) Object.assign(lane, { isShort, movedAt: now })
  const query = (statement.query = make(lane.client))
  lane.running.push(statement)
  const leave = () => {
    lane.running.splice(lane.running.indexOf(statement), 1)
    lane.isGivingUp = lane.running.some(({ isGivenUp }) => isGivenUp)
    lane.movedAt = performance.now()
    left()
  }
  const end = () => (statement.cancel ? void statement.cancel.then(leave) : leave())
  query.then(
    (rows) => (end(), resolve(isShort ? movedOut(rows as unknown[]) : rows)),
    (error: unknown) => (end(), reject(error as Error)),
  )
}

/**
 * Gives a statement up that runs too long; called again until it has left the lane, which is when it has ended and its
 * cancel can hit no other.
 *
 * @param late makes what it is rejected with
 */
export function giveUp(statement: Statement, lane: Lane, late: () => Error): void {
  if (!statement.isGivenUp) statement.reject(late())
  lane.isGivingUp = statement.isGivenUp = true
  statement.cancel ??= cancel(statement.query as Cancellable)
}

/**
 * Results of postgres.js are held until the next full collection, and all that is in them. What is moved out of them is
 * collected young: a third as much survives. And after a connection broke in the middle of an answer, postgres.js 3.4.9
 * goes on counting where it was: the next answer on it begins with as many holes.
 */
function movedOut(rows: unknown[]): unknown[] {
  const moved: unknown[] = []
  for (const row of rows) if (row !== undefined) moved.push(row)
  rows.length = 0
  return moved
}

/** A query of postgres.js; a transaction has none of this. */
interface Cancellable {
  /** Whether it is the one that the server is at. */
  readonly active?: boolean
  canceller?: ((query: unknown) => Promise<void>) | null
}

/**
 * As `query.cancel()` of postgres.js, with three faults of 3.4.9 avoided: it lets nobody catch that the server could not
 * be reached, which ends the process; it loses a connection that is still being made; and where a query waits behind
 * another, its answer goes to the one behind it. So only that which the server is at is cancelled.
 *
 * @returns what ends when the server has closed the connection that a cancel takes: it has been passed on then.
 *   Undefined where there is nothing to cancel yet
 */
function cancel(query: Cancellable): Promise<void> | undefined {
  const { active, canceller } = query
  if (!active || !canceller) return undefined
  query.canceller = null
  return canceller(query).catch(() => undefined)
}
