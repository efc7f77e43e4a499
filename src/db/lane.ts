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
  /** Under way once it was given up; never fails. */
  cancel?: Promise<void>
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
  /** Whether one that runs was cancelled: a cancel goes to a connection, and would hit what is sent down it next. */
  isCancelling: boolean
  /** When something was begun or ended on it. */
  movedAt: number
}

/** Statements that are sent down one connection before the first has ended. */
const DEEPEST = 4
/** A connection on which nothing has ended for so long is held up, and gets no more. */
const HELD_UP_MS = 25

export const openLane = (client: Sql): Lane => ({
  client,
  running: [],
  isShort: true,
  isCancelling: false,
  movedAt: 0,
})

/** Whether one more short statement is better sent down `lane` than down `other`. */
export const isFreer = (lane: Lane, other: Lane | undefined, now: number) =>
  lane.isShort &&
  !lane.isCancelling &&
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
    lane.isCancelling = lane.running.some(({ cancel }) => cancel !== undefined)
    lane.movedAt = performance.now()
    left()
  }
  const end = () => (statement.cancel ? void statement.cancel.then(leave) : leave())
  query.then(
    (rows) => (end(), resolve(isShort ? movedOut(rows as unknown[]) : rows)),
    (error: unknown) => (end(), reject(error as Error)),
  )
}

/** Gives a statement up that runs too long. It leaves the lane when it has ended, and its cancel can hit no other. */
export function giveUp(statement: Statement, lane: Lane, error: Error): void {
  lane.isCancelling = true
  statement.cancel = cancel(statement.query)
  statement.reject(error)
}

/**
 * Results of postgres.js are held until the next full collection, and all that is in them. What is moved out of them is
 * collected young: a third as much survives. And after a connection broke in the middle of an answer, postgres.js 3.4.9
 * goes on counting where it was: the next answer on it begins with as many holes.
 */
function movedOut(rows: unknown[]): unknown[] {
  const moved = rows.splice(0)
  return moved.length === 0 || 0 in moved ? moved : moved.filter(() => true)
}

/** A query of postgres.js; a transaction has neither. */
interface Cancellable {
  /** The connection that it was sent on; null before. */
  readonly state?: object | null
  canceller?: ((query: unknown) => Promise<void>) | null
}

/**
 * As `query.cancel()` of postgres.js, with two faults of 3.4.9 avoided: it lets nobody catch that the server could not
 * be reached, which ends the process; and it loses a connection that is still being made, so that one is left alone.
 *
 * @returns what ends when the server has closed the connection that a cancel takes: it has been passed on then
 */
async function cancel(query: unknown): Promise<void> {
  const { state, canceller } = query as Cancellable
  if (!state || !canceller) return
  ;(query as Cancellable).canceller = null
  await canceller(query).catch(() => undefined)
}
