import type { ParameterOrJSON, Sql } from 'postgres'
import { isTracing, traced } from '../../config/spans.ts'
import { type Lane, type Make, type Statement, giveUp, isFreer, openLane, send } from './lane.ts'
import { type Runs, type Statement as Compiled, failed } from '../statement.ts'
import { type Send, inTransaction } from './transaction.ts'

/**
 * Statements in bounded time. postgres.js knows no bound for the wait for a connection (its connect_timeout is for the
 * making of one), sends statements down a connection that another one holds up, and waits for ever on a connection
 * whose other end fell silent. Here a statement gets a connection soon or not at all, ends within its time, and a
 * connection that does not even let go of what it was told to cancel is replaced.
 *
 * Prepared statements, which are the service's own and short, go down one connection behind each other where they are
 * sent in the same moment, or all connections are in use, as long as it gets on: much of what a short statement costs is
 * that each side is woken for it. (With 32 clients, a list and an item cost the service a tenth less CPU.)
 *
 * All of it is on this side of the wire, so that it holds through PgBouncer, which takes none of PostgreSQL's timeouts
 * when a connection starts.
 */
export interface BoundedPool {
  /** What Drizzle is given. */
  readonly client: Sql
  /** Runs statements that are written as SQL. */
  readonly run: Runs['run']
  load(): PoolLoad
  /** Waits for running statements, at most so many seconds. */
  end(seconds: number): Promise<void>
}

/** How much a pool has to do. */
export interface PoolLoad {
  /** Connections at most. */
  readonly size: number
  /** Milliseconds that a statement may run. */
  readonly runMs: number
  /** Statements that were sent. */
  readonly running: number
  /** Statements that wait for a connection. */
  readonly waiting: number
}

export interface PoolBounds {
  /** Connections at most. */
  readonly size: number
  /** Milliseconds that a statement may run. */
  readonly runMs: number
  /** Prepared statements that are sent down one connection before the first has ended; 8 where left out. */
  readonly depth?: number | undefined
}

const DEPTH = 8

/**
 * A part of what it may run: by default an answer that waited to be let in (http/limits/overload.ts), waits twice, and then
 * runs in vain, is there after 1.9 s of 2.
 */
const WAIT_SHARE = 0.25
/** What one behind another may take longer. */
const BEHIND_SHARE = 0.25
/** More than that would not get their turn in time. Requests are refused at fewer (http/limits/overload.ts). */
const WAITING_PER_CONNECTION = 100
/** A statement that was cancelled ends at once; a connection that was being made has failed by then. */
const CANCELLED_WITHIN_MS = 1_500

/** The database did not answer in time; the same call may work in a moment. */
class DeadlineExceeded extends Error {
  readonly code = 'DATABASE_DEADLINE'
  override readonly name = 'DeadlineExceeded'
}

/** How often it is looked whether something is late. One timer for all costs less than one for each. */
const LOOK_EVERY_MS = 50

/** @param open makes a client of postgres.js of one connection, which calls `closed` whenever that is closed */
export function boundedPool(
  open: (closed: () => void) => Sql,
  { size, runMs, depth = DEPTH }: PoolBounds,
): BoundedPool {
  const ends = { left: (lane: Lane) => next(lane.movedAt), mixedUp: abandon }
  let lanes = [openLane(open, ends)]
  const waiting: Statement[] = []
  const waitMs = runMs * WAIT_SHARE
  let looking: NodeJS.Timeout | undefined

  const run = (make: Make, isShort: boolean, readsTimes: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      looking ??= setInterval(() => setImmediate(look), LOOK_EVERY_MS).unref()
      const now = performance.now()
      const statement = { make, isShort, readsTimes, resolve, reject, deadline: now + waitMs }
      const lane = waiting.length === 0 ? laneFor(statement, now) : undefined
      if (lane) start(statement, lane, now)
      else if (waiting.length < size * WAITING_PER_CONNECTION) waiting.push(statement)
      else reject(new DeadlineExceeded('Too many statements wait for a connection'))
    })

  /**
   * A connection with nothing to do, else a new one, else the one that a short statement waits for least: as long as
   * there are enough of them, none waits behind one that turns out slow.
   */
  function laneFor({ isShort }: Statement, now: number): Lane | undefined {
    let shortest: Lane | undefined
    for (const lane of lanes) {
      if (lane.running.length === 0) return lane
      if (isShort && isFreer(lane, shortest, depth, now)) shortest = lane
    }
    if (lanes.length === size) return shortest
    const another = openLane(open, ends)
    lanes.push(another)
    return another
  }

  function start(statement: Statement, lane: Lane, now: number) {
    statement.deadline = now + (lane.running.length === 0 ? runMs : runMs * (1 + BEHIND_SHARE))
    send(statement, lane, now)
  }

  function next(now: number) {
    for (let first = waiting[0]; first; first = waiting[0]) {
      const lane = laneFor(first, now)
      if (!lane) return
      waiting.shift()
      start(first, lane, now)
    }
  }

  /**
   * Ends what is late; each list is in the order of its deadlines. Called after what has come in was read, so that a
   * process that was held up itself does not take an answer that is there for one that is late.
   */
  function look() {
    const now = performance.now()
    while (waiting[0] && waiting[0].deadline <= now)
      waiting.shift()?.reject(new DeadlineExceeded(`No connection was free within ${waitMs} ms`))
    for (const held of lanes) giveUpOn(held, now)
    if (waiting.length > 0 || lanes.some(({ running }) => running.length > 0)) return
    clearInterval(looking)
    looking = undefined
  }

  function giveUpOn(held: Lane, now: number) {
    for (const statement of held.running) {
      if (statement.deadline > now) return
      if (statement.isGivenUp && statement.deadline + CANCELLED_WITHIN_MS <= now) return replace(held, now)
      giveUp(statement, held, () => new DeadlineExceeded(`A statement did not end within ${runMs} ms`))
    }
  }

  /** The other end is silent: what still runs may end, and new statements get a new connection. */
  function replace(held: Lane, now: number) {
    lanes = lanes.filter((lane) => lane !== held)
    held.client.end({ timeout: CANCELLED_WITHIN_MS / 1000 }).catch(() => undefined)
    next(now)
  }

  /** Nobody is given what comes on it. */
  function abandon(lane: Lane) {
    for (const { reject } of lane.running) reject(new DeadlineExceeded('The connection lost its statements'))
    replace(lane, performance.now())
  }

  const tracedRun = (text: string, make: Make, isShort = false, readsTimes = false) =>
    isTracing()
      ? traced('query', { 'db.system.name': 'postgresql', 'db.query.text': text }, () =>
          run(make, isShort, readsTimes),
        )
      : run(make, isShort, readsTimes)

  const unsafe = (...statement: Parameters<Sql['unsafe']>) => ({
    values: () => tracedRun(statement[0], (client) => client.unsafe(...statement).values()),
    // oxlint-disable-next-line unicorn/no-thenable -- as the queries of postgres.js, it runs when it is awaited
    then: (...handlers: Parameters<Promise<unknown>['then']>) =>
      tracedRun(statement[0], (client) => client.unsafe(...statement)).then(...handlers),
  })

  /** A transaction has a connection for itself, for as long as a statement may run. */
  const begin = (work: (transaction: { unsafe: Send }) => Promise<unknown>) =>
    tracedRun('begin', (client, lane) =>
      inTransaction(
        client,
        () => lane.losses,
        (unsafe) => work({ unsafe }),
      ),
    )

  return {
    // What Drizzle uses of a client.
    client: { options: lanes[0]!.client.options, unsafe, begin } as unknown as Sql,
    async run<Values extends object, Row extends object>(
      { text, isLong, bind }: Compiled<Values, Row>,
      values: Values,
    ) {
      const parameters = bind(values) as ParameterOrJSON<never>[]
      try {
        const make: Make = (client) => client.unsafe(text, parameters, { prepare: !isLong })
        return (await tracedRun(text, make, !isLong, true)) as Row[]
      } catch (error) {
        throw failed(text, parameters, error)
      }
    },
    load() {
      let running = 0 // asked on every request: no closure
      for (const lane of lanes) running += lane.running.length
      return { size, runMs, running, waiting: waiting.length }
    },
    async end(seconds) {
      await Promise.all(lanes.map(({ client }) => client.end({ timeout: seconds })))
    },
  }
}
