import type { Sql } from 'postgres'
import { traced } from '../tracing.ts'

/**
 * Statements in bounded time. postgres.js knows no bound for the wait for a connection (its connect_timeout is for the
 * making of one), sends statements down a connection that another one holds up, and waits for ever on a connection
 * whose other end fell silent. Here a statement gets a connection of its own soon or not at all, ends within its time, and
 * a pool that does not even let go of what it was told to cancel is replaced.
 *
 * All of it is on this side of the wire, so that it holds through PgBouncer, which takes none of PostgreSQL's timeouts
 * when a connection starts.
 */
export interface BoundedPool {
  /** What Drizzle is given. Its transactions, which have no place on the request path, are not bounded. */
  readonly client: Sql
  load(): PoolLoad
  /** Waits for running statements, at most so many seconds. */
  end(seconds: number): Promise<void>
}

/** How much a pool has to do. */
export interface PoolLoad {
  /** Connections at most. */
  readonly size: number
  readonly running: number
  /** Statements that wait for a connection. */
  readonly waiting: number
}

export interface PoolBounds {
  /** Connections at most. */
  readonly size: number
  /** Milliseconds that a statement may run. */
  readonly runMs: number
}

/** A part of what it may run: by default an answer that waits twice, and then runs in vain, is there after 1.6 s of 2. */
const WAIT_SHARE = 0.5
/** More than that would not get their turn in time. */
const WAITING_PER_CONNECTION = 50
/** A statement that was cancelled ends at once; a connection that was being made has failed by then. */
const CANCELLED_WITHIN_MS = 1_500

/** The database did not answer in time; the same call may work in a moment. */
class DeadlineExceeded extends Error {
  readonly code = 'DATABASE_DEADLINE'
  override readonly name = 'DeadlineExceeded'
}

/** How often it is looked whether something is late. One timer for all costs less than one for each. */
const LOOK_EVERY_MS = 50

type Make = (client: Sql) => PromiseLike<unknown>

/** A statement that waits for a connection, and then runs on one. */
interface Statement {
  readonly make: Make
  readonly resolve: (rows: unknown) => void
  readonly reject: (error: Error) => void
  /** When its wait or its run must be over. */
  deadline: number
  query?: unknown
  cancelled?: boolean
}

interface Generation {
  readonly client: Sql
  readonly running: Set<Statement>
}

/** @param open makes a pool of postgres.js of `size` connections */
export function boundedPool(open: () => Sql, { size, runMs }: PoolBounds): BoundedPool {
  const generation = (): Generation => ({ client: open(), running: new Set() })
  let pool = generation()
  const waiting = new Set<Statement>()
  const waitMs = runMs * WAIT_SHARE
  let looking: NodeJS.Timeout | undefined

  const run = (make: Make): Promise<unknown> =>
    new Promise((resolve, reject) => {
      looking ??= setInterval(() => setImmediate(look), LOOK_EVERY_MS).unref()
      const statement = { make, resolve, reject, deadline: performance.now() + waitMs }
      if (pool.running.size < size) start(statement)
      else if (waiting.size < size * WAITING_PER_CONNECTION) waiting.add(statement)
      else reject(new DeadlineExceeded('Too many statements wait for a connection'))
    })

  function start(statement: Statement) {
    const { client, running } = pool
    const { make, resolve, reject } = statement
    statement.deadline = performance.now() + runMs
    const query = (statement.query = make(client))
    running.add(statement)
    const end = () => {
      running.delete(statement)
      next()
    }
    query.then(
      (rows) => (end(), resolve(rows)),
      (error: unknown) => (end(), reject(error as Error)),
    )
  }

  function next() {
    for (const statement of waiting) {
      if (pool.running.size >= size) return
      waiting.delete(statement)
      start(statement)
    }
  }

  /**
   * Ends what is late; each set is in the order of its deadlines. Called after what has come in was read, so that a
   * process that was held up itself does not take an answer that is there for one that is late.
   */
  function look() {
    const now = performance.now()
    for (const { reject } of late(waiting, now))
      reject(new DeadlineExceeded(`No connection was free within ${waitMs} ms`))
    for (const statement of pool.running) {
      if (statement.deadline > now) break
      if (!statement.cancelled) giveUp(statement)
      else if (statement.deadline + CANCELLED_WITHIN_MS <= now) return replace()
    }
    if (waiting.size > 0 || pool.running.size > 0) return
    clearInterval(looking)
    looking = undefined
  }

  function giveUp(statement: Statement) {
    statement.cancelled = true
    statement.reject(new DeadlineExceeded(`A statement did not end within ${runMs} ms`))
    cancel(statement.query)
  }

  /** The other end is silent: what still runs may end, and new statements get new connections. */
  function replace() {
    const { client } = pool
    pool = generation()
    client.end({ timeout: CANCELLED_WITHIN_MS / 1000 }).catch(() => undefined)
    next()
  }

  const tracedRun = (text: string, make: Make) =>
    traced('query', { 'db.system.name': 'postgresql', 'db.query.text': text }, () => run(make))

  const unsafe: Sql['unsafe'] = ((...statement: Parameters<Sql['unsafe']>) => ({
    values: () => tracedRun(statement[0], (client) => client.unsafe(...statement).values()),
    // oxlint-disable-next-line unicorn/no-thenable -- as the queries of postgres.js, it runs when it is awaited
    then: (...handlers: Parameters<Promise<unknown>['then']>) =>
      tracedRun(statement[0], (client) => client.unsafe(...statement)).then(...handlers),
  })) as never

  return {
    client: {
      options: pool.client.options,
      unsafe,
      begin: (...work: Parameters<Sql['begin']>) => pool.client.begin(...work),
    } as unknown as Sql,
    load: () => ({ size, running: pool.running.size, waiting: waiting.size }),
    end: (seconds) => pool.client.end({ timeout: seconds }),
  }
}

function* late(waiting: Set<Statement>, now: number) {
  for (const statement of waiting) {
    if (statement.deadline > now) return
    waiting.delete(statement)
    yield statement
  }
}

interface Cancellable {
  /** The connection that it was sent on; null before. */
  readonly state: object | null
  canceller: ((query: unknown) => Promise<void>) | null
}

/**
 * As `query.cancel()` of postgres.js, with two faults of 3.4.9 avoided: it lets nobody catch that the server could not
 * be reached, which ends the process; and it loses a connection that is still being made, so that one is left alone.
 */
function cancel(query: unknown) {
  const { state, canceller } = query as Cancellable
  if (state === null || canceller === null) return
  ;(query as Cancellable).canceller = null
  canceller(query).catch(() => undefined)
}
