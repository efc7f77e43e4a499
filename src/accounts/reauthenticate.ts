import { sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import {
  IncorrectPassword,
  InvalidCredentials,
  InvalidInput,
  RecentSignInRequired,
} from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { sessions, users } from '../database/tables.ts'
import { isTooLong } from '../text/normal-password.ts'
import { type Trail, audit, auditFailures, trailOf } from './audit/audit.ts'
import { type Candidate, type CodeValues, showCode, useCode } from './factors/use-code.ts'
import { stillHas } from './sessions/end-sessions.ts'
import { guessLimits } from './sessions/guess-limits.ts'
import { authenticatedBy, tellOfRecoveryCode } from './sessions/open-session.ts'

/**
 * Shows again who is signed in, with the password or a code of a second factor: POST /login/reauthenticate. The session may do
 * what needs a recent sign-in for the next REAUTHENTICATION_MINUTES. Guesses count as those of sign-ins do.
 *
 * @returns what does so. @throws RecentSignInRequired where the session stands for tokens of a template; IncorrectPassword,
 *   IncorrectCode; InvalidCredentials where the session ended meanwhile; ServiceUnavailable and TooManyRequests of limits and the queue for hashing
 */
export function reauthenticate(app: SignedInApp) {
  const { auth, config, db } = app
  const limitGuesses = guessLimits(app)
  const fail = auditFailures(app)
  const show = showCode(app)
  const byCodeOf = { otp: compileByCode(config, 'otp'), recovery: compileByCode(config, 'recovery') }

  async function byPassword(password: string, request: SignedInRequest, reply: FastifyReply) {
    const { id, email, session_id } = request.user
    const user = await auth.accounts.findForSignIn(email)
    const turn = reply.turn(await limitGuesses(email, user, request))
    const settle = (isRight: boolean) => request.settle(isRight)
    const { matches } = isTooLong(password)
      ? { matches: false }
      : await auth.passwords.verify(user?.hashed_password, password, settle, turn)
    if (!user || user.id !== id || !matches) {
      await fail('reauthenticated', { reason: 'password' }, request)
      throw new IncorrectPassword()
    }
    const { hashed_password: verified_hash } = user
    const values = { user: id, session: session_id, verified_hash, ...trailOf(request) }
    const [session] = await db.run(renewByPassword, values)
    if (!session) throw new InvalidCredentials() // the password was changed, or the session ended
  }

  async function byCode(code: string, request: SignedInRequest) {
    const { id: user_id, email, session_id: session } = request.user
    const user = await auth.accounts.findForSignIn(email)
    const factors = user?.id === user_id ? user.factors : []
    const values = { user: user_id, session, ...trailOf(request) }
    await show('reauthenticated', { user_id, factors, code }, request, (method, used) =>
      db.run(byCodeOf[method], { ...values, ...used }),
    )
  }

  return async ({ password, code }: Shown, request: SignedInRequest, reply: FastifyReply) => {
    if (request.user.session_shared) throw new RecentSignInRequired()
    if ((password === undefined) === (code === undefined))
      throw new InvalidInput(['body', 'password'], 'Either password or code is needed')
    if (password !== undefined) await byPassword(password, request, reply)
    else await byCode(code!, request)
    request.record('reauthenticated', { session_id: request.user.session_id })
  }
}

type SignedInRequest = FastifyRequest & SignedIn

/** One of them. */
interface Shown {
  readonly password?: string | undefined
  readonly code?: string | undefined
}

/** No row where the session has ended, or its user has another hash than the one that the password was compared with. */
const renewByPassword = statement<
  Trail & { user: string; session: string; verified_hash: string },
  { id: string }
>(
  'reauthenticate session by password',
  (v) => sql`
    with renewed as (
      update ${sessions} set ${authenticatedBy('pwd')}
      from ${users}
      where ${sessions.id} = ${v.session} and ${sessions.user_id} = ${v.user} and ${users.id} = ${v.user}
        and ${users.hashed_password} = ${v.verified_hash} and ${users.is_active}
        and ${sessions.credentials_version} = ${users.credentials_version}
      returning ${sessions.id}, ${sessions.user_id}
    ),
    ${audit('reauthenticated', 'renewed', v, { subject: sql`user_id` })}
    select id from renewed`,
)

/** No row where the session has ended, or the code is wrong or was used. */
const compileByCode = (config: SignedInApp['config'], method: Candidate['method']) =>
  statement<Trail & CodeValues & { user: string; session: string }, { id: string }>(
    `reauthenticate session by ${method}`,
    (v) => sql`
    with account as (
      select id, email, is_verified from ${users} where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    ${useCode(method, v)},
    proven as (select account.* from account join used on used.user_id = account.id),
    ${method === 'recovery' ? sql`${tellOfRecoveryCode(v, config)},` : sql.empty()}
    renewed as (
      update ${sessions} set ${authenticatedBy(method)} from proven
      where ${sessions.id} = ${v.session} and ${sessions.user_id} = proven.id
      returning ${sessions.id}, ${sessions.user_id}
    ),
    ${audit('reauthenticated', 'renewed', v, { subject: sql`user_id`, details: sql`jsonb_build_object('by', ${sql.raw(`'${method}'`)}::text)` })}
    select id from renewed`,
  )
