import { sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { IncorrectPassword, InvalidCredentials } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { sessions, users } from '../database/tables.ts'
import { isTooLong } from '../text/normal-password.ts'
import { type Trail, audit, auditFailures, trailOf } from './audit/audit.ts'
import { guessLimits } from './sessions/guess-limits.ts'
import { authenticatedBy } from './sessions/open-session.ts'

/**
 * Shows again, with the password, who is signed in: POST /login/reauthenticate. The session may do what needs a recent sign-in
 * for the next REAUTHENTICATION_MINUTES. Guesses count as those of sign-ins do.
 *
 * @returns what does so. @throws IncorrectPassword; InvalidCredentials where the session ended meanwhile;
 *   ServiceUnavailable and TooManyRequests of limits and the queue for hashing
 */
export function reauthenticate(app: SignedInApp) {
  const { auth, db } = app
  const limitGuesses = guessLimits(app)
  const fail = auditFailures(app)

  return async (password: string, request: FastifyRequest & SignedIn, reply: FastifyReply) => {
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
    const [session] = await db.run(renew, values)
    if (!session) throw new InvalidCredentials() // the password was changed, or the session ended
    request.record('reauthenticated', { session_id })
  }
}

/** No row where the session has ended, or its user has another hash than the one that the password was compared with. */
const renew = statement<Trail & { user: string; session: string; verified_hash: string }, { id: string }>(
  'reauthenticate session',
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
