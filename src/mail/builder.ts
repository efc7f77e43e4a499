import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { newRow } from '../database/statements.ts'
import { type MessageName, emails } from '../database/tables.ts'

/**
 * Mails of statements that the query builder makes. To be deleted, with bounds.ts and its line in outbox.ts, once accounts/
 * writes all of its statements as SQL: queue.ts is what they use then.
 */

/**
 * A CTE that queues a mail for each row of `source`.
 *
 * @param enabled whether mails are sent at all
 */
export function queuedMail(
  db: Database,
  source: WithSubquery,
  message: MessageName,
  of: {
    user_id: SQLWrapper
    recipient: SQLWrapper
    token_id?: SQLWrapper
    params?: SQLWrapper
    next_attempt_at?: SQLWrapper
  },
  enabled = true,
) {
  const row = newRow(emails, { ...of, message: sql`${message}` })
  return db.$with(`mail_${message}`).as(
    db
      .insert(emails)
      .select((qb) =>
        qb
          .select(row as never)
          .from(source)
          .where(enabled ? undefined : sql`false`),
      )
      .returning({ id: emails.id }),
  )
}

/** The cause of a mail: the network address that it came from; null for a superuser's action. */
export const from = (address: SQLWrapper) => sql`jsonb_build_object('from', ${address})`
