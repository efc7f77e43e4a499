import type { Static } from '@sinclair/typebox'
import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { EmailTakenAtChange, InvalidCredentials } from '../contract/errors.ts'
import { uniqueViolation } from '../database/faults.ts'
import { statement } from '../database/statement.ts'
import { oneTimeTokens, users } from '../database/tables.ts'
import { cause, limitLinks, notify, queueMail } from '../mail/queue.ts'
import { isSameEmail } from '../text/email-address.ts'
import { type Client, clientOf } from './sessions/client.ts'
import { type PublicUser, publicColumns } from './users/public-user.ts'
import { newToken } from './tokens.ts'
import type { UserUpdateMe } from './schemas/users.ts'
import { verifies } from './verify-email.ts'

/**
 * Changes one's own name and address: PATCH /users/me.
 *
 * @returns what does so, and gives the user. @throws EmailTakenAtChange; TooManyRequests where the network had too many
 *   mails sent; InvalidCredentials where the account was deleted meanwhile
 */
export function changeProfile(app: SignedInApp) {
  const { auth, config, db } = app
  const change = compileChange(config)

  return async (changes: Static<typeof UserUpdateMe>, request: FastifyRequest & SignedIn) => {
    const { id, email: oldEmail } = request.user
    const email = changes.email === undefined ? undefined : await auth.accounts.spelling(changes.email)
    if (email !== undefined && !isSameEmail(email, oldEmail)) await request.limitNetwork('mail_network')

    const values = { id, ...clientOf(request), ...profileValues({ ...changes, email }) }
    const [account] = await refuseTakenEmail(db.run(change, values))
    if (!account) throw new InvalidCredentials()

    if (!isSameEmail(account.email, oldEmail)) {
      request.record('address_changed')
      app.mail.wake()
    }
    return account
  }
}

/** Changes the user, with what a changed address causes. The row is locked first, so that `old_email` is the one it had. */
const compileChange = (config: SignedInApp['config']) =>
  statement<ProfileValues & Client & { id: string }, PublicUser>(
    'change profile',
    (v) => sql`
    with before as (
      select id, email as old_email, is_verified as was_verified
      from ${users} where id = ${v.id} and deleted_at is null for no key update
    ),
    account as (
      update ${users} set ${setProfile(v)}
      from before where ${users.id} = before.id
      returning ${users}.*, before.old_email, before.was_verified
    ),
    ${followAddress(config, cause(v))}
    select ${publicColumns} from account`,
  )

/** Fields of a profile as values of a statement: whether each is sent, as null is a name too. */
export interface ProfileValues {
  readonly sets_email: boolean
  readonly email: string | null
  readonly sets_full_name: boolean
  readonly full_name: string | null
}

interface ProfileChanges {
  readonly email?: string | undefined
  readonly full_name?: string | null | undefined
}

export const profileValues = ({ email, full_name }: ProfileChanges): ProfileValues => ({
  sets_email: email !== undefined,
  email: email ?? null,
  sets_full_name: full_name !== undefined,
  full_name: full_name ?? null,
})

/**
 * Of an `update` of users: name and address, where they are sent. A new address is not verified, and the password that
 * somebody signed up with at the old one is forgotten.
 *
 * @param forgetsClaim an expression: whether that password is forgotten in any case
 */
export function setProfile(v: Readonly<Record<keyof ProfileValues, SQL>>, forgetsClaim = sql`false`): SQL {
  const email = sql`${v.email}::text`
  const moves = sql`(${v.sets_email}::boolean and lower(${email}) <> lower(${users.email}))`
  return sql`email = case when ${v.sets_email}::boolean then ${email} else ${users.email} end,
        full_name = case when ${v.sets_full_name}::boolean then ${v.full_name} else ${users.full_name} end,
        is_verified = ${users.is_verified} and not ${moves},
        claimed_password_hash = case
          when ${moves} or ${forgetsClaim} then null else claimed_password_hash
        end`
}

/**
 * CTEs: what a changed address causes for whoever is in CTE `account` (the columns of users, `old_email`, `was_verified`). A
 * link is mailed to the new address, a notice to the old one, and one-time tokens that were mailed there are deleted.
 *
 * @param changeCause an expression of JSON: what the notice says of the cause (mail/cause.ts)
 * @param endsTokens an expression: whether all other tokens are deleted too
 */
export function followAddress(
  config: SignedInApp['config'],
  changeCause: SQL,
  endsTokens: SQL = sql`false`,
): SQL {
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const isOn = verifies(config) ? sql`true` : sql`false`
  const params = sql`jsonb_build_object(
      'from', allowed_new_address.registered_from, 'made_at', allowed_new_address.created_at
    )`
  return sql`moved as (
      select * from account where lower(email) <> lower(old_email)
    ),
    to_verify as (
      select * from moved where ${isOn}
    ),
    ${limitLinks('new_address', 'to_verify', config)},
    ${newToken('verify_token', 'verify_email', 'allowed_new_address', minutes)},
    ${queueMail('new_address', 'allowed_new_address', { token: 'verify_token', params })},
    dead as (
      delete from ${oneTimeTokens} using account
      where ${oneTimeTokens.user_id} = account.id
        and (${endsTokens} or lower(${oneTimeTokens.email}) <> lower(account.email))
    ),
    old_address as (
      select id, old_email as email, was_verified as is_verified from moved
    ),
    ${notify('address_changed', 'old_address', config, changeCause)}`
}

/** @throws EmailTakenAtChange where the statement would give two users one address */
export async function refuseTakenEmail<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (uniqueViolation(error) === 'users_email_unique') throw new EmailTakenAtChange()
    throw error
  }
}
