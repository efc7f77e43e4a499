import postgres, { type Sql } from 'postgres'

/** Sends a statement of a transaction. */
export type Send = Sql['unsafe']

/**
 * A transaction on a client of one connection. `begin` of postgres.js 3.4.9 sends its rollback even after the connection was
 * lost, which throws an uncaught exception ("Cannot read properties of null (reading 'write')"). Here nothing is sent after
 * a loss.
 *
 * @param losses number of times the connection was lost so far
 * @throws what `work` throws, after a rollback
 */
export async function inTransaction<T>(
  client: Sql,
  losses: () => number,
  work: (send: Send) => Promise<T>,
): Promise<T> {
  const before = losses()
  let isOver = false
  const send = ((...statement: Parameters<Send>) => {
    if (losses() !== before)
      throw new ConnectionLost('The connection was lost in the middle of a transaction')
    if (isOver) throw new Error('A statement was sent after the end of its transaction')
    return client.unsafe(...statement)
  }) as Send
  await send('begin')
  try {
    const result = await work(send)
    // PostgreSQL answers COMMIT with ROLLBACK, and no error, where a statement failed.
    const { command } = await send('commit')
    if (command === 'ROLLBACK') throw new Error('A statement failed, so its transaction was rolled back')
    return result
  } catch (error) {
    // If the rollback fails, the connection is lost, and the transaction with it.
    if (!isLoss(error))
      await Promise.resolve()
        .then(() => send('rollback'))
        .catch(() => undefined)
    throw error
  } finally {
    isOver = true
  }
}

/** Nested transactions, as Drizzle asks for them. */
export const savepoints =
  (send: Send, depth = 1) =>
  async <T>(work: (transaction: object) => Promise<T>): Promise<T> => {
    const name = `nested_${depth}`
    await send(`savepoint ${name}`)
    try {
      const result = await work({ unsafe: send, savepoint: savepoints(send, depth + 1) })
      await send(`release savepoint ${name}`)
      return result
    } catch (error) {
      if (!isLoss(error)) await send(`rollback to savepoint ${name}`)
      throw error
    }
  }

/** Has the code of postgres.js, which faults.ts knows. */
class ConnectionLost extends Error {
  readonly code = 'CONNECTION_CLOSED'
  override readonly name = 'ConnectionLost'
}

/** Whether the connection is lost, or will be (FATAL, PANIC). */
export function isLoss(error: unknown): boolean {
  if (error instanceof postgres.PostgresError) return error.severity !== 'ERROR'
  if (!(error instanceof Error)) return false
  const { code = '', syscall, cause } = error as NodeJS.ErrnoException
  if (syscall !== undefined || /^CONNECT(ION)?_/.test(code)) return true
  return cause instanceof Error && isLoss(cause) // Drizzle's own has the driver's inside
}
