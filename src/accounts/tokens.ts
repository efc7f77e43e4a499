import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { type KeySettings, keyring } from '../config/secrets/keys.ts'
import { signedIds } from '../config/secrets/signed-ids.ts'
import type { Database } from '../database/connect.ts'
import { statement } from '../database/statement.ts'
import { type LinkPurpose, type TokenPurpose, oneTimeTokens, users } from '../database/tables.ts'

/**
 * One-time tokens: the right to do one thing once, mailed in a link as `id.mac`. The row is no secret; the MAC is never
 * stored. Bound to purpose and address, and dead once it or another of its kind is used, or the password or the address
 * changes. Each mail has a token of its own: limits on mails (mail/queue.ts) bound how many there are.
 */
export interface OneTimeTokens {
  /** The text that is mailed. */
  sign(purpose: LinkPurpose, id: string): string
  /** The id in a text; undefined where it is forged, or of another purpose. */
  open(purpose: LinkPurpose, text: string): string | undefined
  /** The row behind a text, its user's state beside it. Undefined where forged, of another purpose, used, or expired. */
  find(purpose: TokenPurpose, text: string): Promise<FoundToken | undefined>
}

export interface FoundToken {
  readonly id: string
  readonly user_id: string
  /** Address that it was mailed to. */
  readonly email: string
  readonly user_is_active: boolean
}

/** Condition: the address is the one that its user asked to have instead (EMAIL_CHANGE=confirmed). */
export const isOfPending = (email: SQLWrapper): SQL =>
  sql`coalesce(lower(${email}) = lower(${users.pending_email}), false)`

const findToken = statement<{ id: string; purpose: TokenPurpose }, FoundToken>(
  'find one-time token',
  (v) => sql`
    select ${oneTimeTokens.id}, ${oneTimeTokens.user_id}, ${oneTimeTokens.email}, ${users.is_active} as user_is_active
    from ${oneTimeTokens} join ${users} on ${users.id} = ${oneTimeTokens.user_id}
    where ${oneTimeTokens.id} = ${v.id} and ${oneTimeTokens.purpose} = ${v.purpose}
      and (lower(${oneTimeTokens.email}) = lower(${users.email}) or ${isOfPending(oneTimeTokens.email)})
      and ${oneTimeTokens.expires_at} > now()`,
)

export function tokenStore(db: Database, config: KeySettings): OneTimeTokens {
  const keys = keyring(config)
  const texts = {
    reset_password: signedIds(keys, 'one-time-token/reset_password'),
    verify_email: signedIds(keys, 'one-time-token/verify_email'),
    undo_email_change: signedIds(keys, 'one-time-token/undo_email_change'),
  } satisfies Record<LinkPurpose, unknown>

  return {
    sign: (purpose, id) => texts[purpose].sign(id),
    open: (purpose, text) => texts[purpose].open(text),
    async find(purpose, text) {
      const id = texts[purpose].open(text)
      if (id === undefined) return undefined
      const [token] = await db.run(findToken, { id, purpose })
      return token
    },
  }
}

/**
 * CTE `<name>`: a token for whoever is in `from` (`id` of a user, `email`), none or one. Has `id`, `user_id` and
 * `expires_at` of the token.
 */
export const newToken = (name: string, purpose: TokenPurpose, from: string, minutes: number): SQL => sql`
  ${sql.raw(name)} as (
    insert into ${oneTimeTokens} (user_id, purpose, email, expires_at)
    select id, ${sql.raw(`'${purpose}'`)}, email, now() + interval '${sql.raw(String(minutes))} minutes'
    from ${sql.raw(from)}
    returning id, user_id, expires_at
  )`

/**
 * CTE `used`: the token with that id of that user, used up (`user_id`, `email` that it was mailed to); no row where it was
 * used, expired, or `condition` does not hold for the user. The user's row is locked first: two links of one user used at
 * once wait for each other here, and only here.
 */
export const useToken = (token: SQL, user: SQL, condition = sql`true`): SQL => sql`
  locked as (
    select id, email, is_verified from ${users} where id = ${user} and ${condition} for no key update
  ),
  used as (
    delete from ${oneTimeTokens}
    where id = ${token} and user_id in (select id from locked) and expires_at > now()
    returning user_id, email
  )`
