import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import {
  factors,
  identities,
  loginChallenges,
  passkeys,
  recoveryCodes,
  users,
} from '../../database/tables.ts'

/** What lets somebody in, or keeps others out, beside the password. */

/**
 * Condition on a row of `users`: they can sign in without this identity or passkey. (A recovery mail leads in always; but who has
 * nothing else would not know.) An identity of a provider that is no longer set up lets nobody in.
 */
export const hasOtherWay = ({ oidc }: Pick<Config, 'oidc'>, id: SQL): SQL => sql`(
      ${users.hashed_password} <> ''
      or exists (
        select from ${identities}
        where ${identities.user_id} = ${users.id} and ${identities.id} <> ${id}::uuid and ${identities.removed_at} is null
          and rtrim(${identities.issuer}, '/') = any(${textArray(oidc.map(({ issuer }) => issuer.replace(/\/$/, '')))})
      )
      or exists (select from ${passkeys} where ${passkeys.user_id} = ${users.id} and ${passkeys.id} <> ${id}::uuid)
    )`

/** CTEs: removes passkeys and identities of whoever is in the CTE `from` (`id`). To be run after a lock (lock-user.ts). */
export const withoutWaysIn = (from: string): SQL => sql`${removed('passkeys', passkeys, from)},
    ${removed('identities', identities, from)}`

/** CTEs: removes factors and recovery codes of whoever is in the CTE `from` (`id`), and what waits for one. */
export const withoutFactors = (from: string): SQL => sql`${removed('factors', factors, from)},
    ${removed('codes', recoveryCodes, from)},
    ${removed('challenges', loginChallenges, from)}`

const textArray = (texts: readonly string[]): SQL =>
  sql`array[${sql.raw(texts.map((text) => `'${text.replaceAll("'", "''")}'`).join(', '))}]::text[]`

type Table =
  typeof factors | typeof identities | typeof loginChallenges | typeof passkeys | typeof recoveryCodes

const removed = (name: string, table: Table, from: string): SQL =>
  sql`${sql.raw(`removed_${name}`)} as (delete from ${table} where user_id in (select id from ${sql.raw(from)}))`
