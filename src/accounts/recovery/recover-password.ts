import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App } from '../../contract/contract.ts'
import { UnknownUsername } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { users } from '../../database/tables.ts'
import { byAdministrator, limitLinks, notify, queueMail } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { type Recipient, requestMail } from './request-mail.ts'
import { newToken } from '../tokens.ts'
import { isUserOf } from '../users/find-user.ts'

/**
 * Mails a link to choose a new password, where an active user has the address: POST /password-recovery/{email}.
 *
 * @returns what does so. @throws TooManyRequests of the network, whether there is such a user or not
 */
export function recoverPassword(app: App) {
  const { config, db } = app
  const queueRecovery = compileQueue(config)
  const ask = requestMail(app, async (recipient) => {
    if (config.mail !== 'off') await db.run(queueRecovery, recipient)
  })

  return async (address: string, request: FastifyRequest) => {
    await ask(address, request)
    request.record('recovery_requested')
  }
}

/**
 * Shows a superuser the recovery mail of a user, with a link that works: POST /password-recovery-html-content/{email}.
 * It is not sent; the user is told by another mail that the link was shown.
 *
 * @returns what gives its HTML. @throws UnknownUsername
 */
export function showRecoveryMail(app: Pick<App, 'auth' | 'config' | 'db' | 'mail'>) {
  const { auth, config, db } = app
  const issueLink = compileIssue(config)

  return async (address: string, request: FastifyRequest) => {
    const [issued] = await db.run(issueLink, {
      email: await auth.accounts.spelling(address),
      ...trailOf(request),
    })
    if (!issued) throw new UnknownUsername()
    const { user_id, email, token_id, valid_until } = issued
    request.record('recovery_link_shown', { user_id })
    app.mail.wake()
    const { html } = await app.mail.compose({ message: 'recovery', recipient: email, token_id, valid_until })
    return html
  }
}

type RecoveryConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_RESET_TOKEN_EXPIRE_HOURS'>

// Both lock the user's row until the token is there: a deletion waits for it, or the statement finds nobody.

/** Queues the mail with a token of its own. No row where nobody active has the address, or they had too many. */
const compileQueue = (config: RecoveryConfig) =>
  statement<Recipient & Trail, { id: string }>(
    'queue recovery mail',
    (v) => sql`
    with account as (
      select ${users.id}, ${users.email}, ${users.is_verified} from ${users}
      where ${isUserOf(v.email)} and ${users.is_active}
      for key share
    ),
    ${limitLinks('recovery', 'account', config, sql`${v.is_known}::boolean`)},
    ${audit('recovery_requested', 'allowed_recovery', v)},
    ${newToken('token', 'reset_password', 'allowed_recovery', minutes(config))},
    ${queueMail('recovery', 'allowed_recovery', { token: 'token' })}
    select id from mail_recovery`,
  )

interface Issued {
  readonly user_id: string
  readonly email: string
  readonly token_id: string
  readonly valid_until: Date
}

/** Makes a token for whoever has the address, active or not, and mails them a notice. No row where nobody has it. */
const compileIssue = (config: RecoveryConfig) =>
  statement<Trail & { email: string }, Issued>(
    'issue recovery link',
    (v) => sql`
    with account as (
      select ${users.id}, ${users.email}, ${users.is_verified} from ${users}
      where ${isUserOf(v.email)}
      for key share
    ),
    ${newToken('token', 'reset_password', 'account', minutes(config))},
    ${audit('recovery_link_shown', 'account', v)},
    ${notify('recovery_link_shown', 'account', config, byAdministrator)}
    select account.id as user_id, account.email, token.id as token_id, token.expires_at as valid_until
    from account, token`,
  )

const minutes = (config: RecoveryConfig) => config.EMAIL_RESET_TOKEN_EXPIRE_HOURS * 60
