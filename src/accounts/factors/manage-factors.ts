import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import {
  FactorNotFound,
  InvalidCredentials,
  SecondFactorNeeded,
  TooManyFactors,
  UserNotFound,
} from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { factors, recoveryCodes, sessions, users } from '../../database/tables.ts'
import { byAdministrator, cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { endSessions, keepSession, stillHas } from '../sessions/end-sessions.ts'
import { authenticatedBy } from '../sessions/open-session.ts'
import { newRecoveryCodes, recoveryHash } from './codes.ts'
import { withoutFactors } from '../users/ways-in.ts'
import { afterLock } from '../users/lock-user.ts'
import { hasFactor, mayAddFactor, showCode } from './use-code.ts'

type SignedInRequest = FastifyRequest & SignedIn

/** Most authenticators of one user. */
const MOST_FACTORS = 5

interface Factor {
  readonly id: string
  readonly kind: string
  readonly name: string | null
  readonly created_at: Date
  readonly last_used_at: Date | null
  readonly verified: boolean
}

/** One's own second factors: GET /users/me/factors. */
export function listFactors({ db }: SignedInApp) {
  return async ({ user: { id } }: SignedInRequest) => {
    const [data, [left]] = await Promise.all([
      db.run(findFactors, { user: id }),
      db.run(countCodes, { user: id }),
    ])
    return { data, recovery_codes_left: left?.count ?? 0 }
  }
}

const findFactors = statement<{ user: string }, Factor>(
  'list factors',
  (v) => sql`
    select id, kind, name, created_at, last_used_at, verified_at is not null as verified
    from ${factors} where user_id = ${v.user} order by created_at, id`,
)

const countCodes = statement<{ user: string }, { count: number }>(
  'count recovery codes',
  (v) => sql`select count(*)::integer as count from ${recoveryCodes} where user_id = ${v.user}`,
)

/**
 * Begins with an authenticator: POST /users/me/factors/totp. It counts once a code of it was shown (verifyFactor); an earlier
 * one that never was is replaced.
 *
 * @returns what does so, and gives its secret, which is not shown again. @throws SecondFactorNeeded, TooManyFactors,
 *   InvalidCredentials
 */
export function enrollTotp({ auth, config, db }: SignedInApp) {
  const add = compileAdd(config)
  return async (name: string | null, request: SignedInRequest) => {
    const { id: user, email, session_id: session, session_factor } = request.user
    const id = randomUUID()
    const { secret, sealed, uri } = await auth.codes.newSecret(id, email)
    const values = { id, user, session, session_factor, name, secret: sealed, ...trailOf(request) }
    const [row] = await afterLock(db, user, (transaction) => transaction.run(add, values))
    if (!row) throw new InvalidCredentials()
    if (!row.may_add) throw new SecondFactorNeeded()
    if (!row.is_added) throw new TooManyFactors()
    request.record('factor_enrolled')
    return { id, secret, otpauth_uri: uri }
  }
}

interface NewFactor extends Trail {
  readonly id: string
  readonly user: string
  readonly session: string
  readonly session_factor: boolean
  readonly name: string | null
  readonly secret: string
}

/** No row where the session has ended. */
const compileAdd = (config: SignedInApp['config']) =>
  statement<NewFactor, { is_added: boolean; may_add: boolean }>(
    'add factor',
    (v) => sql`
    with owner as (
      select id, ${mayAddFactor(config, v.session_factor)} as may_add from ${users}
      where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    added as (
      insert into ${factors} (id, user_id, kind, name, secret)
      select ${v.id}::uuid, id, 'totp', ${v.name}::text, ${v.secret} from owner
      where may_add and (
        select count(*) from ${factors} where user_id = ${v.user} and verified_at is not null
      ) < ${sql.raw(String(MOST_FACTORS))}
      on conflict (user_id) where verified_at is null do update set
        id = excluded.id, name = excluded.name, secret = excluded.secret, created_at = now(), last_step = null
      returning user_id
    ),
    ${audit('factor_enrolled', 'added', v, { subject: sql`user_id` })}
    select exists (select from added) as is_added, may_add from owner`,
  )

/**
 * Shows a code of an authenticator: POST /users/me/factors/{id}/verify. The first time, it counts from then on; the session has
 * shown a second factor.
 *
 * @returns what does so, and gives the recovery codes where this is the user's first factor, else none. @throws FactorNotFound,
 *   IncorrectCode; TooManyRequests of the limit on codes
 */
export function verifyFactor(app: SignedInApp) {
  const { config, db } = app
  const show = showCode(app)
  const use = compileVerify(config)

  return async (id: string, code: string, request: SignedInRequest) => {
    const { id: user, session_id: session, session_factor } = request.user
    const [factor] = await db.run(findFactor, { id, user })
    if (!factor) throw new FactorNotFound()
    const given = newRecoveryCodes()
    const hashes = given.map(recoveryHash).join(',')
    const values = { id, user, session, session_factor, hashes, ...trailOf(request) }
    const shown = { user_id: user, factors: [factor], code }
    const used = await show('reauthenticated', shown, request, async (method, { step }) =>
      method === 'otp' ? db.run(use, { ...values, step }) : [],
    )
    request.record(used.is_new ? 'factor_added' : 'reauthenticated')
    if (used.is_new) app.mail.wake()
    return { recovery_codes: used.is_first ? given : [] }
  }
}

const findFactor = statement<{ id: string; user: string }, { id: string; secret: string; verified: boolean }>(
  'find factor',
  (v) => sql`
    select id, secret, verified_at is not null as verified from ${factors} where id = ${v.id} and user_id = ${v.user}`,
)

interface Verified {
  readonly is_new: boolean
  /** Whether the user had none before. */
  readonly is_first: boolean
}

interface Verifying extends Trail {
  readonly id: string
  readonly user: string
  readonly session: string
  readonly session_factor: boolean
  readonly step: number
  readonly hashes: string
}

/** No row where the code was used, or the session has ended. */
const compileVerify = (config: SignedInApp['config']) =>
  statement<Verifying, Verified>(
    'verify factor',
    (v) => sql`
    with owner as (
      select id, email, is_verified, ${hasFactor(sql`${users.id}`)} as has_factor,
        ${mayAddFactor(config, v.session_factor)} as may_add
      from ${users} where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    factor as (
      select ${factors.id}, ${factors.verified_at} is null as is_new from ${factors} join owner on ${factors.user_id} = owner.id
      where ${factors.id} = ${v.id} and (${factors.verified_at} is not null or owner.may_add) for update of ${factors}
    ),
    used as (
      update ${factors} set last_step = ${v.step}::bigint, last_used_at = now(), verified_at = coalesce(verified_at, now())
      from factor where ${factors.id} = factor.id and coalesce(${factors.last_step} < ${v.step}::bigint, true)
      returning ${factors.user_id}, factor.is_new
    ),
    added as (
      select owner.id, owner.email, owner.is_verified, owner.has_factor from owner join used on true where used.is_new
    ),
    given as (
      insert into ${recoveryCodes} (user_id, hash)
      select added.id, hash from added, unnest(string_to_array(${v.hashes}::text, ',')) as hash where not added.has_factor
    ),
    session as (
      update ${sessions} set ${authenticatedBy('otp')} from used where ${sessions.id} = ${v.session}
    ),
    again as (
      select user_id from used where not is_new
    ),
    ${audit('factor_added', 'added', v)},
    ${audit('reauthenticated', 'again', v, { subject: sql`user_id`, details: sql`'{"by": "otp"}'::jsonb` })},
    ${notify('way_in_changed', 'added', config, sql`${cause(v)} || '{"what": "factor_added"}'::jsonb`)}
    select used.is_new, used.is_new and not owner.has_factor as is_first from used, owner`,
  )

/**
 * Removes a factor: DELETE /users/me/factors/{id}. One that counts needs a factor in this session, and every other session
 * ends; with the last one, the recovery codes go.
 *
 * @returns what does so. @throws FactorNotFound, SecondFactorNeeded, InvalidCredentials
 */
export function deleteFactor(app: SignedInApp) {
  const { config, db } = app
  const remove = compileRemove(config)

  return async (id: string, request: SignedInRequest) => {
    const { id: user, session_id: session, session_factor } = request.user
    const [factor] = await db.run(findFactor, { id, user })
    if (!factor) throw new FactorNotFound()
    if (factor.verified && !session_factor) throw new SecondFactorNeeded()
    const [removed] = await db.run(remove, { id, user, session, session_factor, ...trailOf(request) })
    if (!removed) throw new FactorNotFound() // removed or verified meanwhile
    request.record('factor_removed')
    app.removeEndedSessionsOf(user)
    app.mail.wake()
  }
}

const compileRemove = (config: SignedInApp['config']) =>
  statement<
    Trail & { id: string; user: string; session: string; session_factor: boolean },
    { user_id: string }
  >(
    'remove factor',
    (v) => sql`
    with owner as (
      select id from ${users} where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    removed as (
      delete from ${factors} using owner
      where ${factors.id} = ${v.id} and ${factors.user_id} = owner.id
        and (${factors.verified_at} is null or ${v.session_factor}::boolean)
      returning ${factors.user_id}, ${factors.verified_at} is not null as counted
    ),
    account as (
      update ${users} set credentials_version = credentials_version + 1
      from removed where ${users.id} = removed.user_id and removed.counted
      returning ${users.id}, ${users.email}, ${users.is_verified}, ${users.credentials_version}
    ),
    ${keepSession('account', v.session)},
    ${endSessions(sql`user_id in (select id from account) and id <> ${v.session}`)},
    spent as (
      delete from ${recoveryCodes} where user_id in (select id from account) and not exists (
        select from ${factors} as other
        where other.user_id = ${v.user} and other.id <> ${v.id} and other.verified_at is not null
      )
    ),
    ${audit('factor_removed', 'removed', v, { subject: sql`user_id` })},
    ${notify('way_in_changed', 'account', config, sql`${cause(v)} || '{"what": "factor_removed"}'::jsonb`)}
    select user_id from removed`,
  )

/**
 * Ten new recovery codes instead of those that are left: POST /users/me/recovery-codes. Needs a factor in this session.
 *
 * @returns what does so, and gives them. @throws SecondFactorNeeded
 */
export function createRecoveryCodes(app: SignedInApp) {
  const { config, db } = app
  const replace = compileReplace(config)

  return async (request: SignedInRequest) => {
    const { id: user, session_id: session, session_factor } = request.user
    const given = newRecoveryCodes()
    const values = { user, session, hashes: given.map(recoveryHash).join(','), ...trailOf(request) }
    const [made] = session_factor ? await db.run(replace, values) : []
    if (!made) throw new SecondFactorNeeded()
    request.record('recovery_codes_made')
    app.mail.wake()
    return { recovery_codes: given }
  }
}

/** No row where the user has no factor, or the session has ended. */
const compileReplace = (config: SignedInApp['config']) =>
  statement<Trail & { user: string; session: string; hashes: string }, { id: string }>(
    'replace recovery codes',
    (v) => sql`
    with owner as (
      select id, email, is_verified from ${users}
      where id = ${v.user} and ${stillHas(v.session)} and ${hasFactor(sql`${users.id}`)} for no key update
    ),
    spent as (
      delete from ${recoveryCodes} where user_id in (select id from owner)
    ),
    given as (
      insert into ${recoveryCodes} (user_id, hash)
      select owner.id, hash from owner, unnest(string_to_array(${v.hashes}::text, ',')) as hash
    ),
    ${audit('recovery_codes_made', 'owner', v)},
    ${notify('way_in_changed', 'owner', config, sql`${cause(v)} || '{"what": "recovery_codes_made"}'::jsonb`)}
    select id from owner`,
  )

/**
 * Removes every factor of a user who lost theirs: DELETE /users/{id}/factors, for superusers. The user's sessions end.
 *
 * @returns what does so. @throws UserNotFound
 */
export function resetFactors(app: SignedInApp) {
  const { config, db } = app
  const reset = compileReset(config)

  return async (id: string, request: SignedInRequest) => {
    const values = { id, ...trailOf(request) }
    const [account] = await afterLock(db, id, (transaction) => transaction.run(reset, values))
    if (!account) throw new UserNotFound()
    request.record('factors_reset', { user_id: account.id })
    app.removeEndedSessionsOf(account.id)
    app.mail.wake()
  }
}

const compileReset = (config: SignedInApp['config']) =>
  statement<Trail & { id: string }, { id: string }>(
    'reset factors',
    (v) => sql`
    with account as (
      update ${users} set credentials_version = credentials_version + 1
      where id = ${v.id} and deleted_at is null
      returning id, email, is_verified
    ),
    ${endSessions(sql`user_id in (select id from account)`)},
    ${withoutFactors('account')},
    ${audit('factors_reset', 'account', v)},
    ${notify('way_in_changed', 'account', config, sql`${byAdministrator} || '{"what": "factors_reset"}'::jsonb`)}
    select id from account`,
  )
