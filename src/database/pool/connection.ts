import postgres, { type Sql } from 'postgres'
import { isLoss } from './transaction.ts'

/** A statement or transaction, waiting for a connection or running on one. */
export interface Job {
  readonly send: (connection: Connection) => PromiseLike<unknown>
  readonly resolve: (rows: unknown) => void
  readonly reject: (error: Error) => void
  /** End of the longest wait, then of the longest run; by performance.now(). */
  deadline: number
  query?: Query
}

/** A query of postgres.js; a transaction has none of this. */
interface Query {
  /** Why it is tried again. */
  readonly retried?: unknown
  /** Null until it is sent. */
  readonly state?: object | null
  cancel?(): void
}

/** A postgres.js client of one connection. Once that is closed the client is discarded, and never reconnects. */
export interface Connection {
  readonly client: Sql
  /** Sent and not answered yet, in order. */
  readonly running: Job[]
  /** Whether it has answered. Behind the statement that connects, postgres.js would retry each on its own. */
  isOpen: boolean
  isClosed: boolean
  /** When a statement was last answered, or sent while none was running. */
  movedAt: number
}

/** What is sent behind a statement that runs for longer than this might wait until its timeout. */
const STALLED_MS = 25

/** Whether a statement may be sent behind those that run. */
export const pipelines = ({ isOpen, isClosed, running, movedAt }: Connection, now: number): boolean =>
  isOpen && !isClosed && now - movedAt < STALLED_MS && !running.some(isRetried)

/**
 * postgres.js 3.4.9 retries a prepared statement that the server has lost (a pooler, DISCARD ALL) behind those sent
 * meanwhile, but reads the answers in the old order: callers would get each other's rows. It sets `retried` before the next
 * answer arrives, so no answer is delivered from a connection on which it is set.
 */
const isRetried = ({ query }: Job) => query?.retried !== undefined

/** Takes statements out of postgres.js' own queue, for which it would connect again. It sends nothing for them. */
export function withdraw(jobs: readonly Job[]): void {
  for (const { query } of jobs) if (query?.state === null) query.cancel?.()
}

/**
 * Sends a statement.
 *
 * @param answered is called after each answer
 * @param discard closes the connection and rejects what runs on it
 */
export function send(job: Job, connection: Connection, answered: () => void, discard: (why: string) => void) {
  const { running } = connection
  if (running.length === 0) connection.movedAt = performance.now()
  running.push(job)
  const query = job.send(connection)
  job.query = query as NonNullable<Job['query']>
  const end = () => {
    if (running.length > 1 && running.some(isRetried)) return discard('The server lost prepared statements')
    running.splice(running.indexOf(job), 1)
    connection.isOpen = true
    connection.movedAt = performance.now()
    return answered()
  }
  query.then(
    (rows) => {
      if (!connection.isClosed) end()
      return job.resolve(withoutHoles(rows))
    },
    (error: Error) => {
      if (!connection.isClosed) {
        if (isIntact(error, connection)) end()
        else discard('The connection was lost')
      }
      return job.reject(error)
    },
  )
}

/**
 * Whether the connection goes on after this error. Of several statements, an error that is not PostgreSQL's answer to one may
 * have been given to another (a parameter that can't be written). A transaction is alone, and may fail with anything.
 */
const isIntact = (error: unknown, { isOpen, running }: Connection) =>
  (error instanceof postgres.PostgresError && error.severity === 'ERROR') ||
  (isOpen && running.length === 1 && !isLoss(error))

/** postgres.js 3.4.9 counts rows of an answer that failed midway: the next answer begins with as many holes. */
function withoutHoles(rows: unknown): unknown {
  if (Array.isArray(rows) && !(0 in rows))
    rows.splice(
      0,
      rows.findIndex((row) => row !== undefined),
    )
  return rows
}
