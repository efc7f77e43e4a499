import postgres, { type Sql } from 'postgres'

/** Sends a statement of a transaction. */
export type Send = Sql['unsafe']

/**
 * A transaction on a client of one connection. `begin` of postgres.js 3.4.9 goes on after the connection was lost: what
 * is sent then, its own rollback above all, is written to a socket that is not there any more, which ends the process
 * ("Cannot read properties of null (reading 'write')"). Here nothing is sent once the connection is lost.
 *
 * @param losses how often the connection was lost until now
 * @throws what `work` throws; nothing is kept then
 */
export async function inTransaction<T>(
  client: Sql,
  losses: () => number,
  work: (send: Send) => Promise<T>,
): Promise<T> {
  const before = losses()
  const send = ((...statement: Parameters<Send>) => {
    if (losses() !== before)
      throw new ConnectionLost('The connection was lost in the middle of a transaction')
    return client.unsafe(...statement)
  }) as Send
  await send('begin')
  try {
    const result = await work(send)
    await send('commit')
    return result
  } catch (error) {
    // Where that is not answered, the connection is lost, and what was done with it.
    if (!isLoss(error))
      await Promise.resolve()
        .then(() => send('rollback'))
        .catch(() => undefined)
    throw error
  }
}

/** As postgres.js calls it: faults.ts knows the code. */
class ConnectionLost extends Error {
  readonly code = 'CONNECTION_CLOSED'
  override readonly name = 'ConnectionLost'
}

/** Whether an error says that the connection is lost, or about to be: FATAL and PANIC end it. */
export function isLoss(error: unknown): boolean {
  if (error instanceof postgres.PostgresError) return error.severity !== 'ERROR'
  if (!(error instanceof Error)) return false
  const { code = '', syscall, cause } = error as NodeJS.ErrnoException
  if (syscall !== undefined || /^CONNECT(ION)?_/.test(code)) return true
  return cause instanceof Error && isLoss(cause) // Drizzle's own has the driver's inside
}
