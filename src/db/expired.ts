import { type SQLWrapper, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { knownNetworks as known } from '../limits.ts'
import type { Database } from './connect.ts'
import { emails, knownNetworks, oneTimeTokens, rateLimits, sessions } from './tables.ts'

/** Mails stay so long after they were sent; superusers may look at them until then. */
const MAILS_STAY = sql`interval '30 days'`

/** Removes rows that are over: sessions and one-time tokens past their end, mails sent long ago, what limits no longer count. */
export function reaper(db: Database): () => Promise<void> {
  const over = (table: PgTable, ended: SQLWrapper) => db.delete(table).where(sql`${ended}`)
  const statements = [
    over(sessions, sql`${sessions.expires_at} < now()`).prepare('reap_sessions'),
    over(oneTimeTokens, sql`${oneTimeTokens.expires_at} < now()`).prepare('reap_one_time_tokens'),
    over(emails, sql`${emails.sent_at} < now() - ${MAILS_STAY}`).prepare('reap_emails'),
    over(
      rateLimits,
      sql`greatest(${rateLimits.forgotten_at}, ${rateLimits.resumes_at}) < clock_timestamp()`,
    ).prepare('reap_rate_limits'),
    over(
      knownNetworks,
      sql`${knownNetworks.signed_in_at} < now() - make_interval(days => ${known.days}::integer)`,
    ).prepare('reap_known_networks'),
  ]
  return async () => {
    for (const statement of statements) await statement.execute()
  }
}
