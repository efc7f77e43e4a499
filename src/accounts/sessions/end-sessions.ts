import { type SQL, sql } from 'drizzle-orm'
import { sessions, users } from '../../database/tables.ts'

/** Ten times as many as a user can have (MOST_SESSIONS); only users of older versions have more. */
const AT_ONCE = 1_000

/**
 * CTE `ended`: deletes the sessions for which `condition` holds, a bounded number so that it is quick. The same statement
 * has to raise their user's `credentials_version`, which ends all of them; the rest is deleted after the answer
 * (database/upkeep/removal.ts).
 */
export const endSessions = (condition: SQL): SQL => sql`ended as (
    delete from ${sessions} where id = any(array(
      select id from ${sessions} where ${condition} limit ${sql.raw(String(AT_ONCE))}
    ))
    returning id
  )`

/**
 * Condition on a row of `users`: the session is theirs, and has not ended since the request was authenticated. What waited for
 * the row sees the version that it has by then.
 */
export const stillHas = (session: SQL): SQL => sql`exists (
      select from ${sessions} where ${sessions.id} = ${session} and ${sessions.user_id} = ${users.id}
        and ${sessions.credentials_version} = ${users.credentials_version}
    )`

/**
 * Runs a statement with `stillHas` again where it found nothing: one that waited for a change of password, which keeps the session
 * under another version, sees that version the second time.
 */
export async function twice<Row>(run: () => Promise<Row[]>): Promise<Row[]> {
  const rows = await run()
  return rows.length > 0 ? rows : run()
}

/**
 * CTE `kept`: takes one session along to the new `credentials_version` of its user, so that it stays. Not the one that stands
 * for tokens of a template: others may hold those as well, and they can't be told apart.
 *
 * @param user name of a CTE with the `id` and the raised `credentials_version`
 */
export const keepSession = (user: string, session: SQL): SQL => sql`kept as (
    update ${sessions} set credentials_version = ${sql.raw(user)}.credentials_version
    from ${sql.raw(user)}
    where ${sessions.id} = ${session} and ${sessions.user_id} = ${sql.raw(user)}.id
      and 'template' <> all(${sessions.methods})
    returning ${sessions.id}
  )`
