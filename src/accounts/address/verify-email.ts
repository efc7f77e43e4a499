import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App } from '../../contract/contract.ts'
import { InvalidToken } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { oneTimeTokens, users } from '../../database/tables.ts'
import { cause, limitLinks, queueMail } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { leaveAddress, refuseTakenEmail, verifies } from './change-address.ts'
import { type Recipient, requestMail } from '../recovery/request-mail.ts'
import { isOfPending, newToken, useToken } from '../tokens.ts'
import { isUserOf } from '../users/find-user.ts'

/**
 * Verifies an address with the token of a mailed link: POST /verify-email/, and the page of that name. Where the account is to
 * have it (EMAIL_CHANGE=confirmed), it is the account's from then on.
 *
 * @returns what does so, and gives the address. @throws InvalidToken; EmailTakenAtChange where somebody else has it by now
 */
export function verifyEmail(app: App) {
  const { auth, config, db } = app
  const verify = compileVerify(config)

  return async (text: string, request: FastifyRequest) => {
    const token = await auth.oneTimeTokens.find('verify_email', text)
    if (!token) throw new InvalidToken()
    const { id, user_id, email } = token
    const values = { token: id, user: user_id, ...trailOf(request) }
    const [account] = await refuseTakenEmail(db.run(verify, values))
    if (!account) throw new InvalidToken() // used or expired since it was found
    request.record('address_verified', { user_id })
    if (account.is_moved) {
      request.record('address_changed', { user_id })
      app.mail.wake()
    }
    return email
  }
}

/**
 * Mails another link where an active user has the address and has not verified it yet: POST /verify-email/resend.
 *
 * @returns what does so. @throws TooManyRequests of the network, whether there is such a user or not
 */
export function resendVerification(app: App) {
  const { config, db } = app
  const queueVerification = compileQueue(config)
  const ask = requestMail(app, async (recipient) => {
    if (verifies(config)) await db.run(queueVerification, recipient)
  })

  return async (address: string, request: FastifyRequest) => {
    await ask(address, request)
    request.record('verification_requested')
  }
}

type VerificationConfig = Pick<
  Config,
  'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_VERIFICATION' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'
>

/**
 * Uses the token up, verifies the address, and ends the other tokens for it. One that the account was to have is the account's,
 * with all that this causes. No row where the token was used or expired, or the user has another address.
 */
const compileVerify = (config: App['config']) =>
  statement<Trail & { token: string; user: string }, { id: string; is_moved: boolean }>(
    'verify email',
    (v) => sql`
    with ${useToken(v.token, v.user)},
    account as (
      update ${users} set is_verified = true, claimed_password_hash = null,
        email = case when ${isOfPending(sql`used.email`)} then ${users.pending_email} else ${users.email} end,
        pending_email = case when ${isOfPending(sql`used.email`)} then null else ${users.pending_email} end
      from used join locked on locked.id = used.user_id
      where ${users.id} = used.user_id
        and (lower(${users.email}) = lower(used.email) or ${isOfPending(sql`used.email`)})
      returning ${users.id}, ${users.email}, locked.email as old_email, locked.is_verified as was_verified
    ),
    verified as (
      delete from ${oneTimeTokens}
      where (user_id, lower(email)) in (select id, lower(email) from account) and purpose = 'verify_email'
        and id <> ${v.token}
    ),
    moved as (
      select * from account where lower(email) <> lower(old_email)
    ),
    ${audit('address_verified', 'account', v)},
    ${audit('address_changed', 'moved', v)},
    ${leaveAddress(config, 'moved', cause(v))}
    select id, lower(email) <> lower(old_email) as is_moved from account`,
  )

/**
 * Queues the mail with a token of its own; it says when and from where the account was made. No row where nobody active and
 * unverified has the address, or they had too many. Locks the user's row until the token is there: a deletion waits for
 * it, or the statement finds nobody.
 */
const compileQueue = (config: VerificationConfig) =>
  statement<Recipient & Trail, { id: string }>(
    'queue verification mail',
    (v) => sql`
    with account as (
      select ${users.id}, ${users.email}, ${users.is_verified}, ${users.registered_from}, ${users.created_at}
      from ${users}
      where ${isUserOf(v.email)}
        and ${users.is_active} and not ${users.is_verified}
      for key share
    ),
    ${limitLinks('verification', 'account', config, sql`${v.is_known}::boolean`)},
    ${audit('verification_requested', 'allowed_verification', v)},
    ${newToken('token', 'verify_email', 'allowed_verification', config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60)},
    ${queueMail('verification', 'allowed_verification', {
      token: 'token',
      params: sql`jsonb_build_object('from', registered_from, 'made_at', created_at)`,
    })}
    select id from mail_verification`,
  )
