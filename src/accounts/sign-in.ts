import { sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../contract/contract.ts'
import {
  type ApiErrorKind,
  EmailNotVerified,
  InactiveUser,
  IncorrectEmailOrPassword,
} from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { readEmail } from '../text/email-address.ts'
import { isTooLong } from '../text/normal-password.ts'
import { type Trail, auditFailures, trailOf } from './audit/audit.ts'
import type { SigningIn } from './users/find-user.ts'
import type { Session } from './sessions/session-tokens.ts'
import { guessLimits } from './sessions/guess-limits.ts'
import { openSession } from './sessions/open-session.ts'

interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * Signs in with address and password: POST /login/access-token. An unknown address is answered like a wrong password, in the
 * same time and under the same limits.
 *
 * @returns what does so, and gives the tokens of a new session. @throws IncorrectEmailOrPassword; EmailNotVerified and
 *   InactiveUser where the password is right; ServiceUnavailable and TooManyRequests of limits and the queue for hashing
 */
export function signIn(app: App) {
  const { auth, config, db } = app
  const { accounts, knownNetworks, passwords } = auth
  const open = compileOpen(config)
  const renewAndOpen = compileRenewAndOpen(config)
  const limitGuesses = guessLimits(app)
  const fail = auditFailures(app)

  /** Undefined where the stored hash was replaced since it was read. */
  async function attempt({ username, password }: Credentials, request: FastifyRequest, reply: FastifyReply) {
    const user = await accounts.findForSignIn(readEmail(username))
    const turn = reply.turn(await limitGuesses(username, user, request))
    const { real, claimed } = hashesOf(user)
    const settle = (isRight: boolean) => request.settle(isRight)
    const { matches, isClaimed, outdated } = await passwords.verify(real, password, settle, turn, claimed)
    const refuse = async (refusal: ApiErrorKind, reason: string) => {
      await fail('sign_in', { user_id: user?.id, reason }, request)
      return new refusal()
    }
    if (isClaimed) throw await refuse(EmailNotVerified, user?.is_verified ? 'claimed' : 'unverified')
    if (!user || !matches) throw await refuse(IncorrectEmailOrPassword, user ? 'password' : 'address')
    if (!user.is_active) throw await refuse(InactiveUser, 'inactive')

    const values = {
      user_id: user.id,
      verified_hash: user.hashed_password,
      ...trailOf(request),
      network: knownNetworks.nameOf(user.id, request.network),
    }
    const [session] = outdated
      ? await db.run(renewAndOpen, { ...values, renewed_hash: await passwords.renew(password, turn) })
      : await db.run(open, values)
    return session
  }

  /**
   * The hashes that a password is compared with. Where verification is required, nobody may learn whether their sign-up made
   * an account or met one: the password of an unverified account and one claimed by a later sign-up are answered alike, and
   * only that of the latest sign-up counts.
   */
  function hashesOf(user: SigningIn | undefined) {
    if (config.EMAIL_VERIFICATION !== 'required') return { real: user?.hashed_password }
    if (!user) return { claimed: null }
    const { hashed_password, claimed_password_hash: claimed } = user
    return user.is_verified ? { real: hashed_password, claimed } : { claimed: claimed ?? hashed_password }
  }

  return async (credentials: Credentials, request: FastifyRequest, reply: FastifyReply) => {
    const wrongPassword = async () => {
      await fail('sign_in', { reason: 'password' }, request)
      return new IncorrectEmailOrPassword()
    }
    if (isTooLong(credentials.password)) {
      await request.limitNetwork('login_network')
      throw await wrongPassword()
    }
    passwords.admit(reply.turn())
    // Where another device renewed the hash meanwhile, the password is still right, and the second attempt says so.
    const session =
      (await attempt(credentials, request, reply)) ?? (await attempt(credentials, request, reply))
    if (!session) throw await wrongPassword()
    request.record('sign_in', { user_id: session.user_id, session_id: session.id })
    return auth.tokens(session)
  }
}

interface NewSession extends Trail {
  readonly user_id: string
  /** The hash that the password was compared with: no session where the user has another by now. */
  readonly verified_hash: string
  /** Its stored name. */
  readonly network: string
}

const compileOpen = (config: App['config']) =>
  statement<NewSession, Session>(
    'open session',
    (v) => sql`
    with account as (
      select id, credentials_version from ${users}
      where id = ${v.user_id} and hashed_password = ${v.verified_hash} and is_active
      for key share
    ),
    ${openSession(v, config, ['pwd'])}`,
  )

/** The same where the hash is outdated: replaces it in the same statement. */
const compileRenewAndOpen = (config: App['config']) =>
  statement<NewSession & { renewed_hash: string }, Session>(
    'renew hash and open session',
    (v) => sql`
    with account as (
      update ${users} set hashed_password = ${v.renewed_hash}
      where id = ${v.user_id} and hashed_password = ${v.verified_hash} and is_active
      returning id, credentials_version
    ),
    ${openSession(v, config, ['pwd'])}`,
  )
