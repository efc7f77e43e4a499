import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../config/config.ts'
import type { App } from '../contract/contract.ts'
import { InvalidToken } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { oneTimeTokens, users } from '../database/tables.ts'
import { limitLinks, queueMail } from '../mail/queue.ts'
import { type Recipient, requestMail } from './request-mail.ts'
import { newToken, useToken } from './tokens.ts'
import { isUserOf } from './users/find-user.ts'

/**
 * Verifies an address with the token of a mailed link: POST /verify-email/, and the page of that name.
 *
 * @returns what does so, and gives the address. @throws InvalidToken
 */
export function verifyEmail(app: App) {
  const { auth, db } = app

  return async (text: string, request: FastifyRequest) => {
    const token = await auth.oneTimeTokens.find('verify_email', text)
    if (!token) throw new InvalidToken()
    const { id, user_id, email } = token
    const [account] = await db.run(verify, { token: id, user: user_id })
    if (!account) throw new InvalidToken() // used or expired since it was found
    request.record('address_verified', { user_id })
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
  return requestMail(app, async (recipient) => {
    if (verifies(config)) await db.run(queueVerification, recipient)
  })
}

type VerificationConfig = Pick<
  Config,
  'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_VERIFICATION' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'
>

/** Whether addresses are verified by mail. */
export const verifies = ({ mail, EMAIL_VERIFICATION }: Pick<Config, 'mail' | 'EMAIL_VERIFICATION'>) =>
  mail !== 'off' && EMAIL_VERIFICATION !== 'off'

/**
 * Uses the token up, verifies the address, and ends the other tokens for it. No row where the token was used or expired, or
 * the user has another address.
 */
const verify = statement<{ token: string; user: string }, { id: string }>(
  'verify email',
  (v) => sql`
    with ${useToken(v.token, v.user)},
    account as (
      update ${users} set is_verified = true, claimed_password_hash = null
      from used where ${users.id} = used.user_id and lower(${users.email}) = lower(used.email)
      returning ${users.id}
    ),
    dead as (
      delete from ${oneTimeTokens}
      where user_id in (select id from account) and purpose = 'verify_email' and id <> ${v.token}
    )
    select id from account`,
)

/**
 * Queues the mail with a token of its own; it says when and from where the account was made. No row where nobody active and
 * unverified has the address, or they had too many. Locks the user's row until the token is there: a deletion waits for
 * it, or the statement finds nobody.
 */
const compileQueue = (config: VerificationConfig) =>
  statement<Recipient, { id: string }>(
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
    ${newToken('token', 'verify_email', 'allowed_verification', config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60)},
    ${queueMail('verification', 'allowed_verification', {
      token: 'token',
      params: sql`jsonb_build_object('from', registered_from, 'made_at', created_at)`,
    })}
    select id from mail_verification`,
  )
