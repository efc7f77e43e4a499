import type { Sql } from 'postgres'
import { Overloaded } from '../../contract/errors.ts'
import { type Connection, type Job, pipelines, send, withdraw } from './connection.ts'

export interface PoolOptions {
  /** Maximum number of connections. */
  readonly size: number
  /** Statements sent to a connection before the first is answered. */
  readonly depth: number
  /** Statement timeout in milliseconds. PostgreSQL enforces it on direct connections. */
  readonly runMs: number
}

export interface PoolLoad {
  /** Maximum number of connections. */
  readonly size: number
  /** Statements sent and not answered yet. */
  readonly running: number
  /** Statements in the queue. */
  readonly waiting: number
  /** Statements refused so far because the queue was full, or no connection was free in time. */
  readonly refused: number
}

export interface Pool {
  /**
   * Queues a statement or transaction for the least busy connection.
   *
   * @param isFirst the first statement of a request: under load, requests that have begun are finished first
   * @throws Overloaded at once if the queue is full, or if no connection was free in time; DeadlineExceeded; the driver's errors
   */
  run(send: Job['send'], isFirst?: boolean): Promise<unknown>
  load(): PoolLoad
  /** Closes all connections, after waiting for running statements. */
  end(seconds: number): Promise<void>
}

/**
 * Longest wait in the queue, as a part of the statement timeout: a request that waits twice, and then for a statement that does
 * not end, is answered within 2.05 timeouts (0.4 + 0.4 + 1.25).
 */
const WAIT_SHARE = 0.4
/** Extra time before a silent connection is replaced, for PostgreSQL's own timeout and statements sent behind one that ran into it. */
const GRACE_SHARE = 0.25
const QUEUE_PER_CONNECTION = 100
/** One timer for all deadlines. */
const CHECK_EVERY_MS = 50
/** Pause before a connection that could not be opened is replaced. */
const RECONNECT_MS = 100
/** Idle connections are closed after this, checked at this interval. */
const IDLE_MS = 60_000

/** The connection was silent, or was given up. The same request may succeed in a moment. */
class DeadlineExceeded extends Error {
  readonly code = 'DATABASE_DEADLINE'
  override readonly name = 'DeadlineExceeded'
}

/** Shared: a stack trace for each refusal took a fifth of its time. */
const OVERLOADED = new Overloaded()

/**
 * A pool in bounded time. postgres.js neither bounds the wait for a connection nor notices one whose other end is silent. With
 * one client per connection, statements are sent to the least busy, and a connection beyond its deadline is replaced as a whole.
 *
 * @param connect makes a postgres.js client with `max: 1` that calls `onclose` when its connection is closed
 */
export function openPool(connect: (onclose: () => void) => Sql, { size, depth, runMs }: PoolOptions): Pool {
  const connections: Connection[] = []
  const [first, further]: [Job[], Job[]] = [[], []]
  let [refused, isEnded] = [0, false]
  let checking: NodeJS.Timeout | undefined
  const closingIdle = setInterval(closeIdle, IDLE_MS / 2).unref()
  const waiting = () => first.length + further.length

  function run(sendIt: Job['send'], isFirst = false) {
    return new Promise<unknown>((resolve, reject) => {
      const before = isFirst ? waiting() : further.length
      if (isEnded || before >= size * QUEUE_PER_CONNECTION) return refuse(reject)
      const deadline = performance.now() + runMs * WAIT_SHARE
      const queue = isFirst ? first : further
      queue.push({ send: sendIt, resolve, reject, deadline })
      checking ??= setInterval(() => setImmediate(checkDeadlines), CHECK_EVERY_MS).unref()
      sendQueued()
    })
  }

  function refuse(reject: Job['reject']) {
    refused += 1
    reject(OVERLOADED)
  }

  function sendQueued() {
    for (let now = performance.now(); waiting() > 0;) {
      const connection = leastBusy(now)
      if (!connection) return
      const job = (further.shift() ?? first.shift())!
      job.deadline = now + runMs * (1 + GRACE_SHARE)
      send(job, connection, sendQueued, (why) => discard(connection, why))
    }
  }

  /** An idle connection, else a new one, else the one with the fewest statements that may take one more. */
  function leastBusy(now: number): Connection | undefined {
    let found: Connection | undefined
    for (const connection of connections) {
      const { length } = connection.running
      if (length === 0 && !connection.isClosed) return connection
      if (length < (found?.running.length ?? depth) && pipelines(connection, now)) found = connection
    }
    return connections.length < size ? open() : found
  }

  function open(): Connection {
    const client = connect(() => discard(connection, 'The connection was closed'))
    const connection: Connection = { client, running: [], isOpen: false, isClosed: false, movedAt: 0 }
    connections.push(connection)
    return connection
  }

  /** What runs is rejected with postgres.js' own error where it has one. */
  function discard(connection: Connection, why: string) {
    if (connection.isClosed) return
    connection.isClosed = true
    const lost = connection.running.splice(0)
    withdraw(lost)
    connection.client.end({ timeout: 0 }).catch(() => undefined)
    setTimeout(() => {
      for (const { reject } of lost) reject(new DeadlineExceeded(why))
    })
    setTimeout(
      () => {
        connections.splice(connections.indexOf(connection), 1)
        sendQueued()
      },
      connection.isOpen ? 0 : RECONNECT_MS,
    )
  }

  /** Called after arrived answers were read: a process that was held up itself does not take them for late. */
  function checkDeadlines() {
    const now = performance.now()
    for (const queue of [further, first])
      while (queue[0] && queue[0].deadline <= now) refuse(queue.shift()!.reject)
    for (const connection of connections)
      if (connection.running[0] && connection.running[0].deadline <= now)
        discard(connection, `A statement was not answered within ${runMs * (1 + GRACE_SHARE)} ms`)
    if (waiting() > 0 || connections.some(({ running }) => running.length > 0)) return
    clearInterval(checking)
    checking = undefined
  }

  /** Here and not by postgres.js' `idle_timeout`, which reconnects for a statement sent meanwhile. */
  function closeIdle() {
    const now = performance.now()
    for (const connection of connections)
      if (connection.running.length === 0 && now - connection.movedAt > IDLE_MS)
        discard(connection, 'It was idle')
  }

  return {
    run,
    load: () => ({
      size,
      running: connections.reduce((sum, { running }) => sum + running.length, 0),
      waiting: waiting(),
      refused,
    }),
    async end(seconds) {
      isEnded = true
      clearInterval(closingIdle)
      for (const { reject } of [...first.splice(0), ...further.splice(0)]) refuse(reject)
      await Promise.all(connections.map(({ client }) => client.end({ timeout: seconds })))
    },
  }
}
