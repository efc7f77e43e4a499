import { type SQL, sql } from 'drizzle-orm'
import { identities, passkeys, users } from '../../database/tables.ts'

/**
 * Condition on a row of `users`: they can sign in without this identity or passkey. (A recovery mail leads in always; but who has
 * nothing else would not know.)
 */
export const hasOtherWay = (id: SQL): SQL => sql`(
      ${users.hashed_password} <> ''
      or exists (select from ${identities} where ${identities.user_id} = ${users.id} and ${identities.id} <> ${id}::uuid)
      or exists (select from ${passkeys} where ${passkeys.user_id} = ${users.id} and ${passkeys.id} <> ${id}::uuid)
    )`
