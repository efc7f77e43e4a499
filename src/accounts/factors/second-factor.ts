import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { loginChallenges, users } from '../../database/tables.ts'
import { type Trail, trailOf } from '../audit/audit.ts'
import type { NetworkNames } from '../sessions/known-networks.ts'
import { openSession } from '../sessions/open-session.ts'
import type { Session } from '../sessions/session-tokens.ts'
import { type Candidate, type CodeValues, hasFactor, sealedFactors, showCode, useCode } from './use-code.ts'
import type { SealedFactor } from './codes.ts'

/**
 * Goes on with a sign-in whose first step gave a challenge, with a code: POST /login/second-factor. Challenge and code are used
 * up by the statement that opens the session; a wrong code leaves the challenge as it is.
 *
 * @returns what does so, and gives the tokens of a new session. @throws InvalidToken, InactiveUser, IncorrectCode;
 *   TooManyRequests of the limit on codes
 */
export function showSecondFactor(app: App) {
  const { auth, config, db } = app
  const show = showCode(app)
  const open = {
    otp: compileOpen(config, 'otp'),
    recovery: compileOpen(config, 'recovery'),
  }

  return async (text: string, code: string, request: FastifyRequest) => {
    const id = auth.challenges.open(text)
    const [challenge] = id === undefined ? [] : await db.run(findChallenge, { id })
    if (!challenge) throw new InvalidToken()
    const { user_id } = challenge
    if (!challenge.is_active) throw new InactiveUser()
    const networks = auth.knownNetworks.namesOf(user_id, request.network)
    const values = { challenge: challenge.id, user: user_id, ...networks, ...trailOf(request) }
    const shown = { user_id, factors: challenge.factors, code }
    const session = await show('sign_in', shown, request, (method, used) =>
      db.run(open[method], { ...values, ...used }),
    )
    request.record('sign_in', { user_id, session_id: session.id })
    return auth.tokens(session)
  }
}

/** How long a challenge lives, and how many a user has at most. */
export const CHALLENGE_SECONDS = 300
const MOST_CHALLENGES = 3

interface FoundChallenge {
  readonly id: string
  readonly user_id: string
  readonly is_active: boolean
  readonly factors: readonly SealedFactor[]
}

const findChallenge = statement<{ id: string }, FoundChallenge>(
  'find challenge',
  (v) => sql`
    select ${loginChallenges.id}, ${loginChallenges.user_id}, ${users.is_active},
      ${sealedFactors(sql`${users.id}`)} as factors
    from ${loginChallenges} join ${users} on ${users.id} = ${loginChallenges.user_id}
    where ${loginChallenges.id} = ${v.id} and ${loginChallenges.expires_at} > now()
      and ${loginChallenges.credentials_version} = ${users.credentials_version} and ${users.deleted_at} is null`,
)

/**
 * Locks the user, then the challenge, in the order of every statement that removes both. No row where the challenge was used or
 * died, or the code is wrong or was used.
 */
const compileOpen = (config: App['config'], method: Candidate['method']) =>
  statement<Trail & CodeValues & NetworkNames & { challenge: string; user: string }, Session>(
    `open session by challenge and ${method}`,
    (v) => sql`
    with locked as (
      select id, credentials_version, email, is_verified from ${users}
      where id = ${v.user} and is_active for no key update
    ),
    challenge as (
      select user_id, credentials_version, methods from ${loginChallenges}
      where id = ${v.challenge} and user_id in (select id from locked) and expires_at > now() for update
    ),
    account as (
      select locked.*, challenge.methods
      from locked join challenge on challenge.credentials_version = locked.credentials_version
    ),
    ${useCode(method, v)},
    spent as (
      delete from ${loginChallenges} using used where ${loginChallenges.id} = ${v.challenge}
    ),
    ${openSession(v, config, method)}
    select id, user_id, generation from opened`,
  )

/** CTE `challenge`: a challenge for whoever is in the CTE `account` and has a second factor; the oldest of more than three goes. */
export const newChallenge = (): SQL => sql`needing as (
      select id, credentials_version, methods from account where ${hasFactor(sql`account.id`)}
    ),
    forgotten as (
      delete from ${loginChallenges} where id in (
        select id from ${loginChallenges} where user_id in (select id from needing) order by created_at desc, id offset ${sql.raw(String(MOST_CHALLENGES - 1))}
      )
    ),
    challenge as (
      insert into ${loginChallenges} (user_id, credentials_version, methods, expires_at)
      select id, credentials_version, methods, now() + interval '${sql.raw(String(CHALLENGE_SECONDS))} seconds' from needing
      returning id, user_id
    )`
