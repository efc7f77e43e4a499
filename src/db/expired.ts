import { type SQLWrapper, inArray, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { knownNetworks as known } from '../limits.ts'
import type { Database } from './connect.ts'
import { whenNeeded } from './statements.ts'
import { emails, knownNetworks, oneTimeTokens, rateLimits, sessions } from './tables.ts'

/** Mails stay so long after they were sent; superusers may look at them until then. */
const MAILS_STAY = sql`interval '30 days'`

/**
 * Removes rows that are over: sessions and one-time tokens past their end, mails sent long ago, what limits no longer
 * count. Those that somebody else has locked are left for the next time, so that it neither waits nor is in anybody's
 * way.
 */
export function reaper(db: Database): () => Promise<void> {
  const statements = whenNeeded(() => prepare(db))
  return async () => {
    for (const statement of statements()) await statement.execute()
  }
}

function prepare(db: Database) {
  const over = (key: PgColumn, ended: SQLWrapper) => {
    const free = db.select({ key }).from(key.table).where(ended.getSQL()).for('update', { skipLocked: true })
    return db.delete(key.table).where(inArray(key, free))
  }
  return [
    over(sessions.id, sql`${sessions.expires_at} < now()`).prepare('reap_sessions'),
    over(oneTimeTokens.id, sql`${oneTimeTokens.expires_at} < now()`).prepare('reap_one_time_tokens'),
    over(emails.id, sql`${emails.sent_at} < now() - ${MAILS_STAY}`).prepare('reap_emails'),
    over(
      rateLimits.key,
      sql`greatest(${rateLimits.forgotten_at}, ${rateLimits.resumes_at}) < clock_timestamp()`,
    ).prepare('reap_rate_limits'),
    // No single key; two that meet here each delete rows that the other has no need of.
    db
      .delete(knownNetworks)
      .where(sql`${knownNetworks.signed_in_at} < now() - make_interval(days => ${known.days}::integer)`)
      .prepare('reap_known_networks'),
  ]
}
