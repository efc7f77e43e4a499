import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import { type ApiErrorKind, LastWayIn } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { type identities, type passkeys, users } from '../../database/tables.ts'
import { byAdministrator, cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { endSessions, keepSession, stillHas, twice } from '../sessions/end-sessions.ts'
import { hasOtherWay } from './ways-in.ts'

/** What signs its user in beside a password, and how one of it is removed. */
interface WayIn {
  readonly event: 'identity_removed' | 'passkey_removed'
  readonly table: typeof identities | typeof passkeys
  /** Condition on a row: it is there. */
  readonly isThere?: SQL
  /** Begins the statement's `removed`, up to its `from` or `using`. */
  readonly remove: SQL
  readonly notFound: ApiErrorKind
}

type SignedInRequest = FastifyRequest & SignedIn

/**
 * Removes a way in of one's own. Every other session ends, as it may have been opened by it. The last way in stays.
 *
 * @returns what does so. @throws WayIn.notFound, LastWayIn
 */
export function removeOwn(app: SignedInApp, way: WayIn) {
  const remove = compileRemove(app.config, way, 'own')
  return (id: string, request: SignedInRequest) => {
    const { id: user, session_id: session } = request.user
    return removeBy(app, way, remove, { id, user, session, ...trailOf(request) }, request)
  }
}

/**
 * Removes one of any user, whose sessions end, for superusers. Where that is themselves, the session that asks stays.
 *
 * @returns what does so. @throws WayIn.notFound
 */
export function removeOf(app: SignedInApp, way: WayIn) {
  const remove = compileRemove(app.config, way, 'of a user')
  return (user: string, id: string, request: SignedInRequest) => {
    const session = user.toLowerCase() === request.user.id ? request.user.session_id : null
    return removeBy(app, way, remove, { id, user, session, ...trailOf(request) }, request)
  }
}

interface Removal extends Trail {
  readonly id: string
  readonly user: string
  /** The one that stays; null where none does. */
  readonly session: string | null
}

async function removeBy(
  app: SignedInApp,
  { event, notFound }: WayIn,
  remove: ReturnType<typeof compileRemove>,
  values: Removal,
  request: FastifyRequest,
) {
  const [found] = await twice(() => app.db.run(remove, values))
  if (!found) throw new notFound()
  if (!found.is_removed) throw new LastWayIn()
  request.record(event, { user_id: values.user })
  app.removeEndedSessionsOf(values.user)
  app.mail.wake()
}

/** Locks the user, then the way in, in the order of a sign-in with it. No row where it is not there, or the session has ended. */
function compileRemove(
  config: SignedInApp['config'],
  { event, table, isThere = sql`true`, remove }: WayIn,
  whose: 'own' | 'of a user',
) {
  const isOwn = whose === 'own'
  return statement<Removal, { is_removed: boolean }>(
    `${event} ${whose}`,
    (v) => sql`
    with owner as (
      select id, ${isOwn ? hasOtherWay(config, v.id) : sql`true`} as may_remove from ${users}
      where id = ${v.user}::uuid and (${v.session}::uuid is null or ${stillHas(v.session)}) for no key update
    ),
    found as (
      select ${table.id}, owner.may_remove from ${table} join owner on owner.id = ${table.user_id}
      where ${table.id} = ${v.id}::uuid and ${isThere} for update of ${table}
    ),
    removed as (
      ${remove} found where ${table.id} = found.id and found.may_remove
      returning ${table.user_id}
    ),
    account as (
      update ${users} set credentials_version = credentials_version + 1
      from removed where ${users.id} = removed.user_id
      returning ${users.id}, ${users.email}, ${users.is_verified}, ${users.credentials_version}
    ),
    ${keepSession('account', sql`${v.session}::uuid`)},
    ${endSessions(sql`user_id in (select id from account) and id is distinct from ${v.session}::uuid`)},
    ${audit(event, 'account', v)},
    ${notify('way_in_changed', 'account', config, sql`${isOwn ? cause(v) : byAdministrator} || jsonb_build_object('what', ${sql.raw(`'${event}'`)}::text)`)}
    select exists (select from removed) as is_removed from found`,
  )
}
