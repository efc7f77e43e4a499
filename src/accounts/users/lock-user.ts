import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { type Runs, statement } from '../../database/statement.ts'
import { users } from '../../database/tables.ts'

/**
 * Runs a statement that removes or counts what a user has, once nobody else adds to it. A statement sees the rows of its
 * beginning: what somebody added while it waited for the user's row would stay, or not be counted. So the row is locked by a
 * statement before.
 */
export const afterLock = <Row>(
  db: Pick<Database, 'transaction'>,
  user: string,
  work: (transaction: Runs) => Promise<Row>,
): Promise<Row> =>
  db.transaction(async (transaction) => {
    await transaction.run(lockUser, { user })
    return work(transaction)
  })

const lockUser = statement<{ user: string }>(
  'lock user',
  (v) => sql`select from ${users} where id = ${v.user}::uuid for no key update`,
)
