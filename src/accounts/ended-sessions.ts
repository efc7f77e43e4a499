import { type SQL, type SQLWrapper, and, eq, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { sessions } from '../database/tables.ts'

/** Ten times as many as a user can have (MOST_SESSIONS); only users of older versions have more. */
const AT_ONCE = 1_000

/**
 * Deletes sessions that match `condition`, so many at most that it is quick. The same statement has to raise their user's
 * `credentials_version`, which ends all of them; the rest is deleted after the answer (removal.ts).
 */
export const endSessions = (db: Database, condition: SQL | undefined) =>
  db
    .delete(sessions)
    .where(
      sql`${sessions.id} = any(array(
        select ${sessions.id} from ${sessions} where ${condition} limit ${sql.raw(String(AT_ONCE))}
      ))`,
    )
    .returning({ id: sessions.id })

/** A user whose `credentials_version` the same statement raised. */
type Raised = WithSubquery & Readonly<Record<'id' | 'credentials_version', SQLWrapper>>

/** Takes one session of theirs along to the new version, so that it stays. */
export const keepSession = (db: Database, user: Raised, id: SQLWrapper) =>
  db
    .update(sessions)
    .set({ credentials_version: sql`${user.credentials_version}` })
    .from(user)
    .where(and(eq(sessions.id, id), eq(sessions.user_id, user.id)))
    .returning({ id: sessions.id })
