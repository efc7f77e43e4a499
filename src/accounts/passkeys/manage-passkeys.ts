import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import { keyring } from '../../config/secrets/keys.ts'
import { macOf } from '../../config/secrets/signed-ids.ts'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import {
  IncorrectPasskey,
  InvalidCredentials,
  PasskeyNotFound,
  SecondFactorNeeded,
  TooManyPasskeys,
  UserNotFound,
} from '../../contract/errors.ts'
import { arrayOf } from '../../database/columns.ts'
import { statement } from '../../database/statement.ts'
import { passkeyChallenges, passkeys, sessions, users } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { deviceOf } from '../../text/device.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { mayAddFactor } from '../factors/use-code.ts'
import { stillHas } from '../sessions/end-sessions.ts'
import { authenticatedBy } from '../sessions/open-session.ts'
import { userExists } from '../users/last-superuser.ts'
import { afterLock } from '../users/lock-user.ts'
import { removeOf, removeOwn } from '../users/remove-way-in.ts'
import { CHALLENGE_SECONDS, webauthn } from './webauthn.ts'

type SignedInRequest = FastifyRequest & SignedIn

/** Most passkeys of one user, and challenges to add one. */
const MOST_PASSKEYS = 10
const MOST_CHALLENGES = 3

interface Passkey {
  readonly id: string
  readonly name: string | null
  readonly credential_id: string
  readonly transports: string[]
  readonly backed_up: boolean
  readonly created_at: Date
  readonly last_used_at: Date | null
}

/**
 * Begins with a passkey: POST /users/me/passkeys/options. The challenge is good once, for this user, for five minutes.
 *
 * @returns what does so, and gives what the browser is to be asked (WebAuthn's PublicKeyCredentialCreationOptionsJSON). @throws
 *   PasskeysUnavailable, TooManyPasskeys, SecondFactorNeeded, InvalidCredentials
 */
export function passkeyOptions({ config, db }: SignedInApp) {
  const { creationOptions } = webauthn(config)
  // The same for all of a user's, also where two are begun at once; tells nobody who it is.
  const handleOf = macOf(keyring(config).current, 'passkey-user')
  const add = compileAddChallenge(config)

  return async ({ user }: SignedInRequest) => {
    const { id, email, full_name, session_id: session, session_factor } = user
    const own = await db.run(findPasskeys, { user: id })
    if (own.length >= MOST_PASSKEYS) throw new TooManyPasskeys()
    const handle = own[0]?.user_handle ?? handleOf(id)
    const known = own.map(({ credential_id }) => credential_id)
    const options = await creationOptions({ handle, email, full_name }, known)
    const { challenge } = options
    const [owner] = await db.run(add, { user: id, session, session_factor, challenge, handle })
    if (!owner) throw new InvalidCredentials()
    if (!owner.may_add) throw new SecondFactorNeeded()
    return options
  }
}

interface NewChallenge {
  readonly user: string
  readonly session: string
  readonly session_factor: boolean
  readonly challenge: string
  readonly handle: string
}

/** The oldest of more than three goes. No row where the session has ended. */
const compileAddChallenge = (config: SignedInApp['config']) =>
  statement<NewChallenge, { may_add: boolean }>(
    'add challenge of a passkey',
    (v) => sql`
    with owner as (
      select id, ${mayAddFactor(config, v.session_factor)} as may_add from ${users}
      where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    forgotten as (
      delete from ${passkeyChallenges} where challenge in (
        select challenge from ${passkeyChallenges} where user_id in (select id from owner)
        order by created_at desc, challenge offset ${sql.raw(String(MOST_CHALLENGES - 1))}
      )
    ),
    added as (
      insert into ${passkeyChallenges} (challenge, kind, user_id, user_handle, expires_at)
      select ${v.challenge}, 'registration', id, ${v.handle}, now() + interval '${sql.raw(String(CHALLENGE_SECONDS))} seconds'
      from owner where may_add
    )
    select may_add from owner`,
  )

/**
 * Adds a passkey with what the browser answered: POST /users/me/passkeys. The session has shown it, which is as good as a second
 * factor. Its name is that of the device, until it is given another.
 *
 * @returns what does so. @throws IncorrectPasskey where the answer or its challenge is not right; TooManyPasskeys,
 *   SecondFactorNeeded, InvalidCredentials
 */
export function addPasskey(app: SignedInApp) {
  const { config, db } = app
  const { readCreated } = webauthn(config)
  const add = compileAdd(config)

  return async (response: RegistrationResponseJSON, request: SignedInRequest) => {
    const { id: user, session_id: session, session_factor } = request.user
    const created = await readCreated(response)
    if (!created) throw new IncorrectPasskey()
    const trail = trailOf(request)
    const name = deviceOf(trail.user_agent)
    const transports = arrayOf(response.response.transports ?? [])
    const values = { user, session, session_factor, name, transports, ...created, ...trail }
    const [row] = await afterLock(db, user, (transaction) => transaction.run(add, values))
    if (!row) throw new InvalidCredentials()
    const { id, may_add, is_open, is_full, ...passkey } = row
    if (!may_add) throw new SecondFactorNeeded()
    if (id === null) throw is_open && is_full ? new TooManyPasskeys() : new IncorrectPasskey()
    request.record('passkey_added')
    app.mail.wake()
    return shown({ ...passkey, id })
  }
}

interface NewPasskey extends Trail {
  readonly user: string
  readonly session: string
  readonly session_factor: boolean
  readonly challenge: string
  readonly name: string
  /** As PostgreSQL writes an array. */
  readonly transports: string
  readonly credential_id: string
  readonly public_key: string
  readonly counter: number
  readonly backup_eligible: boolean
  readonly backed_up: boolean
}

/** As a statement gives it. */
type Row = Omit<Passkey, 'transports'> & { readonly transport_list: string }

interface Added extends Omit<Row, 'id'> {
  /** Null where none was added. */
  readonly id: string | null
  readonly may_add: boolean
  /** Whether the challenge was there to be used up. */
  readonly is_open: boolean
  readonly is_full: boolean
}

const shown = ({ transport_list, ...row }: Row): Passkey => ({
  ...row,
  transports: transport_list.split(' ').filter(Boolean),
})

const columns = sql.raw(
  `passkeys.id, passkeys.name, passkeys.credential_id, array_to_string(passkeys.transports, ' ') as transport_list,
    passkeys.backed_up, passkeys.created_at, passkeys.last_used_at`,
)

/** Uses the challenge up. No row where the session has ended. */
const compileAdd = (config: SignedInApp['config']) =>
  statement<NewPasskey, Added>(
    'add passkey',
    (v) => sql`
    with owner as (
      select id, email, is_verified, ${mayAddFactor(config, v.session_factor)} as may_add from ${users}
      where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    spent as (
      delete from ${passkeyChallenges} using owner
      where ${passkeyChallenges.challenge} = ${v.challenge} and ${passkeyChallenges.kind} = 'registration'
        and ${passkeyChallenges.user_id} = owner.id and ${passkeyChallenges.expires_at} > now() and owner.may_add
      returning ${passkeyChallenges.user_id}, ${passkeyChallenges.user_handle}
    ),
    own as (
      select count(*) >= ${sql.raw(String(MOST_PASSKEYS))} as is_full from ${passkeys} where user_id = ${v.user}
    ),
    added as (
      insert into ${passkeys} (
        user_id, name, credential_id, public_key, counter, transports, user_handle, backup_eligible, backed_up
      )
      select spent.user_id, ${v.name}, ${v.credential_id}, ${v.public_key}, ${v.counter}::bigint, ${v.transports}::text[],
        spent.user_handle, ${v.backup_eligible}::boolean, ${v.backed_up}::boolean
      from spent, own where not own.is_full
      on conflict (credential_id) do nothing
      returning *
    ),
    session as (
      update ${sessions} set ${authenticatedBy('passkey')} from added where ${sessions.id} = ${v.session}
    ),
    told as (
      select owner.* from owner, added
    ),
    ${audit('passkey_added', 'added', v, { subject: sql`user_id` })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "passkey_added"}'::jsonb`)}
    select ${columns}, owner.may_add, exists (select from spent) as is_open, own.is_full
    from owner cross join own left join added as passkeys on true`,
  )

/** One's own passkeys: GET /users/me/passkeys. */
export function listPasskeys({ db }: SignedInApp) {
  return async ({ user: { id } }: SignedInRequest) => ({
    data: (await db.run(findPasskeys, { user: id })).map(shown),
  })
}

/**
 * Those of any user: GET /users/{id}/passkeys, for superusers.
 *
 * @returns what reads them. @throws UserNotFound
 */
export function listPasskeysOf({ db }: SignedInApp) {
  return async (user: string) => {
    const found = await db.run(findPasskeys, { user })
    if (found.length === 0 && !(await userExists(db, user))) throw new UserNotFound()
    return { data: found.map(shown) }
  }
}

const findPasskeys = statement<{ user: string }, Row & { user_handle: string }>(
  'list passkeys',
  (v) =>
    sql`select ${columns}, user_handle from ${passkeys} where user_id = ${v.user} order by created_at desc, id desc`,
)

/**
 * Gives a passkey of one's own another name: PATCH /users/me/passkeys/{id}.
 *
 * @returns what does so. @throws PasskeyNotFound
 */
export function renamePasskey({ db }: SignedInApp) {
  return async (id: string, name: string, { user: { id: user } }: SignedInRequest) => {
    const [row] = await db.run(rename, { id, user, name })
    if (!row) throw new PasskeyNotFound()
    return shown(row)
  }
}

const rename = statement<{ id: string; user: string; name: string }, Row>(
  'rename passkey',
  (v) => sql`
    update ${passkeys} set name = ${v.name} where id = ${v.id} and user_id = ${v.user} returning ${columns}`,
)

const PASSKEY = {
  event: 'passkey_removed',
  table: passkeys,
  remove: sql`delete from ${passkeys} using`,
  notFound: PasskeyNotFound,
} as const

/** Removes a passkey of one's own: DELETE /users/me/passkeys/{id}. @throws PasskeyNotFound, LastWayIn */
export const deletePasskey = (app: SignedInApp) => removeOwn(app, PASSKEY)

/** Removes one of any user: DELETE /users/{id}/passkeys/{id}, for superusers. @throws PasskeyNotFound */
export const deletePasskeyOf = (app: SignedInApp) => removeOf(app, PASSKEY)
