import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { users } from '../../database/tables.ts'

/**
 * Parts of the statements that delete, deactivate or demote users, so that one active superuser always remains.
 *
 * CTE `superusers`: the active superusers, locked in the order of their ids. Two statements that would remove the last two
 * of them wait for each other, and the second sees what the first did.
 */
export const lockSuperusers = sql`superusers as (
    select id from ${users} where is_superuser and is_active order by id for update
  )`

/**
 * Condition on a row of `users`: whether there is another active superuser. `count` reads, and so locks, all of them;
 * `exists` would stop at the first. It refers to the row, as PostgreSQL would otherwise evaluate it first, and lock all
 * superusers whoever the row is.
 */
export const othersRemain = sql`(select count(*) from superusers where superusers.id <> ${users.id}) > 0`

const findUser = statement<{ id: string }, { is_superuser: boolean }>(
  'does user exist',
  (v) => sql`select is_superuser from ${users} where id = ${v.id} and deleted_at is null`,
)

/** For when a write changed no row: was it refused, or is the user gone? */
export const userExists = async (db: Database, id: string) => (await db.run(findUser, { id })).length > 0

/** The same for what superusers may not do to themselves. */
export const isSuperuser = async (db: Database, id: string) =>
  (await db.run(findUser, { id }))[0]?.is_superuser === true
