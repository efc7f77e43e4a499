import { type SQLWrapper, inArray, sql } from 'drizzle-orm'
import type { Database } from './connect.ts'
import { emails, oneTimeTokens, sessions } from './tables.ts'

/** Mails stay so long after they were sent; superusers may look at them until then. */
const MAILS_STAY = sql`interval '30 days'`

type Reaped = typeof sessions | typeof oneTimeTokens | typeof emails

/**
 * Removes rows that are over: sessions and one-time tokens past their end, mails sent long ago. Those that somebody
 * else has locked are left for the next time, so that it neither waits nor is in anybody's way.
 */
export function reaper(db: Database): () => Promise<void> {
  const over = (table: Reaped, ended: SQLWrapper) =>
    db
      .delete(table)
      .where(
        inArray(
          table.id,
          db.select({ id: table.id }).from(table).where(ended.getSQL()).for('update', { skipLocked: true }),
        ),
      )
  const statements = [
    over(sessions, sql`${sessions.expires_at} < now()`).prepare('reap_sessions'),
    over(oneTimeTokens, sql`${oneTimeTokens.expires_at} < now()`).prepare('reap_one_time_tokens'),
    over(emails, sql`${emails.sent_at} < now() - ${MAILS_STAY}`).prepare('reap_emails'),
  ]
  return async () => {
    for (const statement of statements) await statement.execute()
  }
}
