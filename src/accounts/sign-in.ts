import { type SQL, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../contract/contract.ts'
import {
  type ApiErrorKind,
  EmailNotVerified,
  InactiveUser,
  IncorrectEmailOrPassword,
  SecondFactorRequired,
} from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { readEmail } from '../text/email-address.ts'
import { isTooLong } from '../text/normal-password.ts'
import { type Trail, audit, auditFailures, trailOf } from './audit/audit.ts'
import { CHALLENGE_SECONDS, newChallenge } from './factors/second-factor.ts'
import { type Candidate, type CodeValues, showCode, useCode } from './factors/use-code.ts'
import type { SigningIn } from './users/find-user.ts'
import type { Session } from './sessions/session-tokens.ts'
import { guessLimits } from './sessions/guess-limits.ts'
import type { NetworkNames } from './sessions/known-networks.ts'
import { openSession } from './sessions/open-session.ts'

interface Credentials {
  readonly username: string
  readonly password: string
  /** Of a second factor. */
  readonly code?: string | null | undefined
}

/**
 * Signs in with address and password: POST /login/access-token. An unknown address is answered like a wrong password, in the
 * same time and under the same limits.
 *
 * @returns what does so, and gives the tokens of a new session. @throws IncorrectEmailOrPassword; EmailNotVerified and
 *   InactiveUser where the password is right; SecondFactorRequired and IncorrectCode where a code is needed as well; ServiceUnavailable and TooManyRequests of limits and the queue for hashing
 */
export function signIn(app: App) {
  const { auth, config, db } = app
  const { accounts, knownNetworks, passwords } = auth
  const open = compileOpen(config)
  const openWith = { otp: compileOpenWith(config, 'otp'), recovery: compileOpenWith(config, 'recovery') }
  const limitGuesses = guessLimits(app)
  const fail = auditFailures(app)
  const show = showCode(app)

  /** Undefined where the stored hash was replaced since it was read. */
  async function attempt(
    { username, password, code }: Credentials,
    request: FastifyRequest,
    reply: FastifyReply,
  ) {
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
      ...knownNetworks.namesOf(user.id, request.network),
    }
    if (outdated) {
      const renewed_hash = await passwords.renew(password, turn)
      if ((await db.run(renewHash, { ...values, renewed_hash })).length === 0) return undefined
      Object.assign(values, { verified_hash: renewed_hash })
    }
    if (code && user.factors.length > 0) {
      const { id: user_id, factors } = user
      return show('sign_in', { user_id, factors, code }, request, (method, used) =>
        db.run(openWith[method], { ...values, ...used }),
      )
    }
    const [answer] = await db.run(open, values)
    if (typeof answer?.challenge === 'string') {
      request.record('second_factor_asked', { user_id: user.id })
      throw new SecondFactorRequired(auth.challenges.sign(answer.challenge), CHALLENGE_SECONDS)
    }
    return answer?.id ? { ...answer, id: answer.id } : undefined
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

interface NewSession extends Trail, NetworkNames {
  readonly user_id: string
  /** The hash that the password was compared with: no session where the user has another by now. */
  readonly verified_hash: string
}

interface Answer {
  /** Null where no session was opened. */
  readonly id: string | null
  readonly user_id: string
  readonly generation: number
  /** A challenge to show a second factor. */
  readonly challenge: string | null
}

/**
 * CTE `account`: the user, where the stored hash is the one that the password was compared with.
 *
 * @param lock of their row: one that nobody else has at the time where a code is used up, as in every statement that changes
 *   second factors, which would deadlock otherwise
 */
const byPassword = (
  v: Readonly<Record<'user_id' | 'verified_hash', SQL>>,
  lock: 'for key share' | 'for no key update',
) => sql`account as (
      select id, credentials_version, email, is_verified, '{pwd}'::text[] as methods from ${users}
      where id = ${v.user_id} and hashed_password = ${v.verified_hash} and is_active
      ${sql.raw(lock)}
    )`

/** Opens a session, or makes a challenge for a user who has a second factor. No row where the stored hash is another one. */
const compileOpen = (config: App['config']) =>
  statement<NewSession, Answer>(
    'open session',
    (v) => sql`
    with ${byPassword(v, 'for key share')},
    ${newChallenge()},
    ${audit('second_factor_asked', 'challenge', v, { subject: sql`user_id`, actor: sql`user_id` })},
    ${openSession(v, config, undefined)}
    select opened.id, opened.user_id, opened.generation, challenge.id as challenge
    from account left join opened on true left join challenge on true`,
  )

/** The same with a code. No row where the stored hash is another one, or the code is wrong or was used. */
const compileOpenWith = (config: App['config'], method: Candidate['method']) =>
  statement<NewSession & CodeValues, Session>(
    `open session with ${method}`,
    (v) => sql`
    with ${byPassword(v, 'for no key update')},
    ${useCode(method, v)},
    ${openSession(v, config, method)}
    select id, user_id, generation from opened`,
  )

/** Replaces an outdated hash. No row where the user has another by now. */
const renewHash = statement<{ user_id: string; verified_hash: string; renewed_hash: string }, { id: string }>(
  'renew hash',
  (v) => sql`
    update ${users} set hashed_password = ${v.renewed_hash}
    where id = ${v.user_id} and hashed_password = ${v.verified_hash} and is_active
    returning id`,
)
