import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { type ApiErrorKind, EmailNotVerified, InactiveUser, IncorrectPasskey } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { passkeyChallenges, passkeys, users } from '../../database/tables.ts'
import { type Trail, auditFailures, trailOf } from '../audit/audit.ts'
import type { NetworkNames } from '../sessions/known-networks.ts'
import { openSession } from '../sessions/open-session.ts'
import type { Session } from '../sessions/session-tokens.ts'
import { CHALLENGE_SECONDS, challengeOf, webauthn } from './webauthn.ts'

/**
 * Begins a sign-in with a passkey: POST /login/passkey/options. Nobody says who they are: the passkey will.
 *
 * @returns what does so, and gives what the browser is to be asked (WebAuthn's PublicKeyCredentialRequestOptionsJSON). @throws
 *   PasskeysUnavailable
 */
export function signInOptions({ config, db }: App) {
  const { requestOptions } = webauthn(config)
  return async () => {
    const options = await requestOptions()
    await db.run(addChallenge, { challenge: options.challenge })
    return options
  }
}

const addChallenge = statement<{ challenge: string }>(
  'add challenge of a sign-in with a passkey',
  (v) => sql`
    insert into ${passkeyChallenges} (challenge, kind, expires_at)
    values (${v.challenge}, 'sign_in', now() + interval '${sql.raw(String(CHALLENGE_SECONDS))} seconds')`,
)

/**
 * Signs in with what the browser answered: POST /login/passkey. Challenge and counter are used up by the statement that opens the
 * session. Whatever is wrong is answered alike, an unknown passkey too.
 *
 * @returns what does so, and gives the tokens of a new session. @throws IncorrectPasskey; EmailNotVerified and InactiveUser where the
 *   passkey is right; TooManyRequests of the network's limit on failed sign-ins
 */
export function signInWithPasskey(app: App) {
  const { auth, config, db } = app
  const { readUsed } = webauthn(config)
  const open = compileOpen(config)
  const fail = auditFailures(app)

  return async (response: AuthenticationResponseJSON, request: FastifyRequest) => {
    const refuse = async (refusal: ApiErrorKind, reason: string, user_id?: string) => {
      await request.settle(false)
      await fail('sign_in', { user_id, reason }, request)
      return new refusal()
    }
    const challenge = await challengeOf(response)
    if (challenge === undefined) throw await refuse(IncorrectPasskey, 'passkey')
    const [passkey] = await db.run(findPasskey, { credential_id: response.id, challenge })
    if (!passkey) throw await refuse(IncorrectPasskey, 'passkey')
    const { id, user_id } = passkey
    const used =
      response.response.userHandle === passkey.user_handle
        ? await readUsed(response, { ...passkey, challenge })
        : undefined
    if (!used) throw await refuse(IncorrectPasskey, 'passkey', user_id)
    if (!passkey.is_open) throw await refuse(IncorrectPasskey, 'challenge', user_id)
    if (!passkey.is_active) throw await refuse(InactiveUser, 'inactive', user_id)
    if (config.EMAIL_VERIFICATION === 'required' && !passkey.is_verified)
      throw await refuse(EmailNotVerified, 'unverified', user_id)

    const networks = auth.knownNetworks.namesOf(user_id, request.network)
    const values = { passkey: id, user: user_id, challenge, ...networks, ...used, ...trailOf(request) }
    const [answer] = await db.run(open, values)
    if (answer?.is_copy) throw await refuse(IncorrectPasskey, 'counter', user_id)
    if (!answer?.id) throw await refuse(IncorrectPasskey, 'challenge', user_id)
    await request.settle(true)
    const session = { id: answer.id, user_id, generation: answer.generation }
    request.record('sign_in', { user_id, session_id: session.id })
    return auth.tokens(session)
  }
}

interface FoundPasskey {
  readonly id: string
  readonly user_id: string
  readonly credential_id: string
  readonly public_key: string
  readonly user_handle: string
  readonly is_active: boolean
  readonly is_verified: boolean
  /** Whether the challenge is there to be used up. */
  readonly is_open: boolean
}

const findPasskey = statement<{ credential_id: string; challenge: string }, FoundPasskey>(
  'find passkey',
  (v) => sql`
    select ${passkeys.id}, ${passkeys.user_id}, ${passkeys.credential_id}, ${passkeys.public_key}, ${passkeys.user_handle},
      ${users.is_active}, ${users.is_verified},
      exists (
        select from ${passkeyChallenges}
        where challenge = ${v.challenge} and kind = 'sign_in' and expires_at > now()
      ) as is_open
    from ${passkeys} join ${users} on ${users.id} = ${passkeys.user_id}
    where ${passkeys.credential_id} = ${v.credential_id} and ${users.deleted_at} is null`,
)

interface Opening extends Trail, NetworkNames {
  readonly passkey: string
  readonly user: string
  readonly challenge: string
  readonly counter: number
  readonly backed_up: boolean
}

interface Answer extends Omit<Session, 'id'> {
  /** Null where no session was opened. */
  readonly id: string | null
  /** Whether the counter went back: there is another authenticator with the same key (WebAuthn 3, 6.1.1). */
  readonly is_copy: boolean
}

/**
 * Locks the user, then challenge and passkey, in the order of every statement that removes them. No row where the challenge was used,
 * or user or passkey are gone. Most authenticators leave the counter at 0.
 */
const compileOpen = (config: App['config']) =>
  statement<Opening, Answer>(
    'open session by passkey',
    (v) => sql`
    with locked as (
      select id, credentials_version, email, is_verified, '{}'::text[] as methods from ${users}
      where id = ${v.user} and is_active and deleted_at is null for no key update
    ),
    spent as (
      delete from ${passkeyChallenges} using locked
      where ${passkeyChallenges.challenge} = ${v.challenge} and ${passkeyChallenges.kind} = 'sign_in'
        and ${passkeyChallenges.expires_at} > now()
      returning ${passkeyChallenges.challenge}
    ),
    passkey as (
      select ${passkeys.id}, ${passkeys.user_id},
        ${passkeys.counter} > 0 and ${passkeys.counter} >= ${v.counter}::bigint as is_copy
      from ${passkeys} join locked on locked.id = ${passkeys.user_id} join spent on true
      where ${passkeys.id} = ${v.passkey} for update of ${passkeys}
    ),
    used as (
      update ${passkeys} set counter = ${v.counter}::bigint, backed_up = ${v.backed_up}::boolean, last_used_at = now()
      from passkey where ${passkeys.id} = passkey.id and not passkey.is_copy
      returning ${passkeys.user_id}
    ),
    account as (
      select locked.* from locked join used on used.user_id = locked.id
    ),
    ${openSession(v, config, 'passkey')}
    select opened.id, passkey.user_id, opened.generation, passkey.is_copy
    from passkey left join opened on opened.user_id = passkey.user_id`,
  )
