import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import { IdentityNotFound, LastWayIn, UserNotFound } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { identities, users } from '../../database/tables.ts'
import { byAdministrator, cause, notify } from '../../mail/queue.ts'
import { type Trail, type TrailParameters, audit, trailOf } from '../audit/audit.ts'
import { endSessions, keepSession, sessionToKeep, stillHas, twice } from '../sessions/end-sessions.ts'
import { userExists } from '../users/last-superuser.ts'
import { hasOtherWay } from '../users/ways-in.ts'

type SignedInRequest = FastifyRequest & SignedIn

interface Identity {
  readonly id: string
  readonly provider: string
  readonly email: string | null
  readonly created_at: Date
  readonly last_used_at: Date | null
}

/** The identities that sign oneself in: GET /users/me/identities. */
export const listIdentities =
  ({ db }: SignedInApp) =>
  async ({ user: { id } }: SignedInRequest) => ({ data: await db.run(findIdentities, { user: id }) })

const findIdentities = statement<{ user: string }, Identity>(
  'list identities',
  (v) => sql`
    select id, provider, email, created_at, last_used_at from ${identities}
    where user_id = ${v.user} and removed_at is null order by created_at, id`,
)

/** Those of any user: GET /users/{id}/identities, for superusers. @throws UserNotFound */
export function listIdentitiesOf({ db }: SignedInApp) {
  return async (user: string) => {
    const data = await db.run(findIdentities, { user })
    if (data.length === 0 && !(await userExists(db, user))) throw new UserNotFound()
    return { data }
  }
}

/**
 * Removes an identity: DELETE /users/me/identities/{id}. Every other session ends, as it may have been opened by it. It does not
 * join the account again by itself. The last way in stays.
 *
 * @returns what does so. @throws IdentityNotFound, LastWayIn
 */
export function removeIdentity(app: SignedInApp) {
  const remove = compileRemove(app.config, 'own', cause)
  return (id: string, request: SignedInRequest) => {
    const { id: user, session_id: session } = request.user
    return removeBy(app, remove, { id, user, session, ...trailOf(request) }, request)
  }
}

/**
 * Removes one of any user, whose sessions end: DELETE /users/{id}/identities/{id}, for superusers.
 *
 * @returns what does so. @throws IdentityNotFound
 */
export function removeIdentityOf(app: SignedInApp) {
  const remove = compileRemove(app.config, 'of a user', () => byAdministrator)
  return (user: string, id: string, request: SignedInRequest) =>
    removeBy(app, remove, { id, user, session: sessionToKeep(user, request), ...trailOf(request) }, request)
}

interface Removal extends Trail {
  readonly id: string
  readonly user: string
  /** The one that stays; null where none does. */
  readonly session: string | null
}

async function removeBy(
  app: SignedInApp,
  remove: ReturnType<typeof compileRemove>,
  values: Removal,
  request: FastifyRequest,
) {
  const [found] = await twice(() => app.db.run(remove, values))
  if (!found) throw new IdentityNotFound()
  if (!found.is_removed) throw new LastWayIn()
  request.record('identity_removed', { user_id: values.user })
  app.removeEndedSessionsOf(values.user)
  app.mail.wake()
}

/** No row where there is no such identity, or the session has ended. */
const compileRemove = (
  config: SignedInApp['config'],
  whose: 'own' | 'of a user',
  causeOf: (v: TrailParameters) => SQL,
) =>
  statement<Removal, { is_removed: boolean }>(
    `remove identity: ${whose}`,
    (v) => sql`
    with owner as (
      select id, ${whose === 'own' ? hasOtherWay(v.id) : sql`true`} as may_remove from ${users}
      where id = ${v.user}::uuid and (${v.session}::uuid is null or ${stillHas(v.session)}) for no key update
    ),
    found as (
      select ${identities.id}, owner.may_remove
      from ${identities} join owner on owner.id = ${identities.user_id}
      where ${identities.id} = ${v.id}::uuid and ${identities.removed_at} is null for update of ${identities}
    ),
    removed as (
      update ${identities} set removed_at = now() from found where ${identities.id} = found.id and found.may_remove
      returning ${identities.user_id}
    ),
    account as (
      update ${users} set credentials_version = credentials_version + 1
      from removed where ${users.id} = removed.user_id
      returning ${users.id}, ${users.email}, ${users.is_verified}, ${users.credentials_version}
    ),
    ${keepSession('account', sql`${v.session}::uuid`)},
    ${endSessions(sql`user_id in (select id from account) and id is distinct from ${v.session}::uuid`)},
    ${audit('identity_removed', 'account', v)},
    ${notify('way_in_changed', 'account', config, sql`${causeOf(v)} || '{"what": "identity_removed"}'::jsonb`)}
    select exists (select from removed) as is_removed from found`,
  )
