import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { EmailNotVerified, InactiveUser, InvalidToken, SecondFactorRequired } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { oidcCodes, users } from '../../database/tables.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { CHALLENGE_SECONDS, newChallenge } from '../factors/second-factor.ts'
import type { NetworkNames } from '../sessions/known-networks.ts'
import { openSession } from '../sessions/open-session.ts'

/**
 * Opens a session for the code with which somebody came back from an identity provider: POST /login/oidc/token. Whoever has a
 * second factor gets a challenge for it, as after a password.
 *
 * @returns what does so, and gives the tokens of a new session. @throws InvalidToken, InactiveUser, EmailNotVerified,
 *   SecondFactorRequired
 */
export function signInWithProvider(app: App) {
  const { auth, config, db } = app
  const open = compileOpen(config)

  return async ({ code: text, code_verifier }: Shown, request: FastifyRequest) => {
    const id = auth.oidcCodes.open(text)
    const [code] = id === undefined ? [] : await db.run(findCode, { id })
    if (!code || code.code_challenge !== challengeOf(code_verifier)) throw new InvalidToken()
    const { user_id } = code
    if (!code.is_active) throw new InactiveUser()
    if (config.EMAIL_VERIFICATION === 'required' && !code.is_verified) throw new EmailNotVerified()
    const networks = auth.knownNetworks.namesOf(user_id, request.network)
    const values = { code: code.id, user: user_id, ...networks, ...trailOf(request) }
    const [answer] = await db.run(open, values)
    if (typeof answer?.challenge === 'string') {
      request.record('second_factor_asked', { user_id })
      throw new SecondFactorRequired(auth.challenges.sign(answer.challenge), CHALLENGE_SECONDS)
    }
    if (typeof answer?.id !== 'string') throw new InvalidToken() // used since it was found
    request.record('sign_in', { user_id, session_id: answer.id })
    return auth.tokens({ ...answer, id: answer.id })
  }
}

interface Shown {
  readonly code: string
  /** Of the `code_challenge` that the browser was sent off with; none without one. */
  readonly code_verifier?: string | undefined
}

/**
 * A code that was got with another challenge, or without one, is somebody else's: led to the frontend with it, people would work in
 * an account that is not theirs.
 */
export const challengeOf = (verifier: string | undefined) =>
  verifier === undefined ? null : createHash('sha256').update(verifier).digest('base64url')

interface FoundCode {
  readonly id: string
  readonly user_id: string
  readonly is_active: boolean
  readonly is_verified: boolean
  readonly code_challenge: string | null
}

const findCode = statement<{ id: string }, FoundCode>(
  'find code of an identity provider',
  (v) => sql`
    select ${oidcCodes.id}, ${oidcCodes.user_id}, ${oidcCodes.code_challenge}, ${users.is_active}, ${users.is_verified}
    from ${oidcCodes} join ${users} on ${users.id} = ${oidcCodes.user_id}
    where ${oidcCodes.id} = ${v.id}::uuid and ${oidcCodes.expires_at} > now()
      and ${oidcCodes.credentials_version} = ${users.credentials_version} and ${users.deleted_at} is null`,
)

interface Answer {
  /** Null where no session was opened. */
  readonly id: string | null
  readonly user_id: string
  readonly generation: number
  /** A challenge to show a second factor. */
  readonly challenge: string | null
}

/** No row where the code was used or died. */
const compileOpen = (config: App['config']) =>
  statement<Trail & NetworkNames & { code: string; user: string }, Answer>(
    'open session by identity',
    (v) => sql`
    with locked as (
      select id, credentials_version, email, is_verified from ${users}
      where id = ${v.user} and is_active for no key update
    ),
    spent as (
      delete from ${oidcCodes}
      where id = ${v.code}::uuid and user_id in (select id from locked) and expires_at > now()
      returning credentials_version
    ),
    account as (
      select locked.*, '{oidc}'::text[] as methods
      from locked join spent on spent.credentials_version = locked.credentials_version
    ),
    ${newChallenge()},
    ${audit('second_factor_asked', 'challenge', v, { subject: sql`user_id`, actor: sql`user_id` })},
    ${openSession(v, config, undefined)}
    select opened.id, opened.user_id, opened.generation, challenge.id as challenge
    from account left join opened on true left join challenge on true`,
  )
