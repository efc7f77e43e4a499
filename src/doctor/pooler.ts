import type { Sql } from 'postgres'
import { throughPooler } from '../config/session-parameters.ts'
import { openPostgres } from '../database/pool/open-postgres.ts'
import { type Send, inTransaction } from '../database/pool/transaction.ts'

interface Opened {
  readonly client: Sql
  /** How often its connection was closed. */
  readonly losses: () => number
}

const WITHIN_MS = 3_000
/** Connections opened beside the tested one, to take its server connection away. */
const OTHERS = 10

/** SQLSTATE: the statement does not exist, or another client prepared one of that name. */
const LOST = new Set(['26000', '42P05'])

const STATEMENT = 'select pg_backend_pid() as pid, $1::text as text'

/**
 * Prepares a statement, keeps its server connection busy, and executes the statement on another one: in a transaction, as
 * postgres.js prepares a lost statement again outside of one.
 *
 * @returns true also if it can't be tested (the pooler has one server connection, or is away)
 */
export async function keepsPreparedStatements(url: string): Promise<boolean> {
  const open = () => {
    let losses = 0
    const client = openPostgres(url, {
      max: 1,
      onclose: () => (losses += 1),
      connect_timeout: 5,
      fetch_types: false,
      onnotice: () => undefined,
      connection: throughPooler,
    })
    return { client, losses: () => losses }
  }
  const [asking, ...others] = Array.from({ length: OTHERS + 1 }, open) as [Opened, ...Opened[]]
  const run = (send: Send) => send<{ pid: number }[]>(STATEMENT, ['a'], { prepare: true })
  async function tryIt() {
    const [first] = await run(asking.client.unsafe)
    for (const other of others) {
      const held = await hold(other)
      if (held === first?.pid) break
    }
    await inTransaction(asking.client, asking.losses, (send) => run(send))
    return true
  }
  const end = new AbortController()
  /** Holds a server connection until the end. */
  const hold = ({ client, losses }: Opened) =>
    new Promise<number>((resolve, reject) => {
      const held = inTransaction(client, losses, async (send) => {
        const [own] = await send<{ pid: number }[]>('select pg_backend_pid() as pid')
        resolve(own!.pid)
        await new Promise((done) => end.signal.addEventListener('abort', done))
      })
      held.catch(reject)
    })
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(true), WITHIN_MS).unref())
  try {
    return await Promise.race([tryIt(), late])
  } catch (error) {
    return !LOST.has(String((error as { code?: string }).code))
  } finally {
    end.abort()
    await Promise.all([asking, ...others].map(({ client }) => client.end({ timeout: 1 })))
  }
}
