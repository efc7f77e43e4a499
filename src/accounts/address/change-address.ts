import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { EmailTakenAtChange } from '../../contract/errors.ts'
import { uniqueViolation } from '../../database/faults.ts'
import { addressChanges, oneTimeTokens } from '../../database/tables.ts'
import { limitLinks, notify, queueMail } from '../../mail/queue.ts'
import { newToken } from '../tokens.ts'

/**
 * CTEs of statements that change an address: what that causes. `from` is the name of a CTE with none or one row, the user
 * whose address changes (`id`, `email` and where it says so `old_email`, `was_verified`, the address before).
 */

type AddressConfig = Pick<
  Config,
  'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_CHANGE' | 'EMAIL_VERIFICATION' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'
>

/** How long a change can be taken back. */
export const UNDO_HOURS = 72

/** Mails a link to the new address. `from` has `registered_from` and `created_at` as well. */
export function askToConfirm(config: AddressConfig, from: string): SQL {
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const isOn = verifies(config) || config.EMAIL_CHANGE === 'confirmed' ? sql`true` : sql`false`
  const params = sql`jsonb_build_object(
      'from', allowed_new_address.registered_from, 'made_at', allowed_new_address.created_at
    )`
  return sql`to_verify as (
      select * from ${sql.raw(from)} where ${isOn}
    ),
    ${limitLinks('new_address', 'to_verify', config)},
    ${newToken('verify_token', 'verify_email', 'allowed_new_address', minutes)},
    ${queueMail('new_address', 'allowed_new_address', { token: 'verify_token', params })}`
}

/**
 * Tells the address before, with a link that takes the change back, and deletes the one-time tokens that were mailed there.
 *
 * @param changeCause an expression of JSON: what the notice says of the cause (mail/cause.ts)
 */
export const leaveAddress = (config: AddressConfig, from: string, changeCause: SQL): SQL =>
  sql`${oldAddress(from)},
    ${deadTokens(from, sql`lower(${oneTimeTokens.email}) <> lower(${sql.raw(from)}.email)`)},
    ${notify('own_address_changed', 'old_address', config, changeCause, {
      name: 'address_change',
      token: (to) => sql`address_change as (
      insert into ${addressChanges} (user_id, email, was_verified, expires_at)
      select id, email, is_verified, now() + interval '${sql.raw(String(UNDO_HOURS))} hours' from ${sql.raw(to)}
      returning id
    )`,
    })}`

/**
 * The same for a change by a superuser, which nobody takes back: it may be what ends a stolen account.
 *
 * @param account name of a CTE with the user, whether their address changes or not
 * @param endsTokens an expression: whether all other tokens are deleted too
 */
export const leaveAddressByAdministrator = (
  config: AddressConfig,
  from: string,
  account: string,
  endsTokens: SQL,
  changeCause: SQL,
): SQL => sql`${oldAddress(from)},
    ${deadTokens(account, sql`(${endsTokens} or not ${isStillTheirs(account)})`)},
    undone as (
      delete from ${addressChanges} where user_id in (select id from ${sql.raw(from)})
    ),
    ${notify('address_changed', 'old_address', config, changeCause)}`

/** Of a token's address: the user has it, or asked to have it (EMAIL_CHANGE=confirmed). */
const isStillTheirs = (account: string) => {
  const [email, pending] = [sql.raw(`${account}.email`), sql.raw(`${account}.pending_email`)]
  return sql`(lower(${oneTimeTokens.email}) = lower(${email}) or coalesce(lower(${oneTimeTokens.email}) = lower(${pending}), false))`
}

const oldAddress = (from: string) => sql`old_address as (
      select id, old_email as email, was_verified as is_verified from ${sql.raw(from)}
    )`

const deadTokens = (from: string, isDead: SQL) => sql`dead as (
      delete from ${oneTimeTokens} using ${sql.raw(from)}
      where ${oneTimeTokens.user_id} = ${sql.raw(from)}.id and ${isDead}
    )`

/** Whether addresses are verified by mail. */
export const verifies = ({ mail, EMAIL_VERIFICATION }: Pick<Config, 'mail' | 'EMAIL_VERIFICATION'>) =>
  mail !== 'off' && EMAIL_VERIFICATION !== 'off'

/** @throws EmailTakenAtChange where the statement would give two users one address */
export async function refuseTakenEmail<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (uniqueViolation(error) === 'users_email_unique') throw new EmailTakenAtChange()
    throw error
  }
}
