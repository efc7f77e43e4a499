import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import { IdentityNotFound, LastWayIn } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { identities, users } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { endSessions, keepSession, stillHas, twice } from '../sessions/end-sessions.ts'
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
    where user_id = ${v.user} order by created_at, id`,
)

/**
 * Removes an identity: DELETE /users/me/identities/{id}. Every other session ends, as it may have been opened by it. The last
 * way in stays.
 *
 * @returns what does so. @throws IdentityNotFound, LastWayIn
 */
export function removeIdentity(app: SignedInApp) {
  const { config, db } = app
  const remove = compileRemove(config)

  return async (id: string, request: SignedInRequest) => {
    const { id: user, session_id: session } = request.user
    const values = { id, user, session, ...trailOf(request) }
    const [found] = await twice(() => db.run(remove, values))
    if (!found) throw new IdentityNotFound()
    if (!found.is_removed) throw new LastWayIn()
    request.record('identity_removed')
    app.removeEndedSessionsOf(user)
    app.mail.wake()
  }
}

/** No row where there is no such identity, or the session has ended. */
const compileRemove = (config: SignedInApp['config']) =>
  statement<Trail & { id: string; user: string; session: string }, { is_removed: boolean }>(
    'remove identity',
    (v) => sql`
    with owner as (
      select id, ${hasOtherWay(v.id)} as has_other_way from ${users}
      where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    found as (
      select ${identities.id}, owner.has_other_way
      from ${identities} join owner on owner.id = ${identities.user_id} where ${identities.id} = ${v.id}::uuid
    ),
    removed as (
      delete from ${identities} using found where ${identities.id} = found.id and found.has_other_way
      returning ${identities.user_id}
    ),
    account as (
      update ${users} set credentials_version = credentials_version + 1
      from removed where ${users.id} = removed.user_id
      returning ${users.id}, ${users.email}, ${users.is_verified}, ${users.credentials_version}
    ),
    ${keepSession('account', v.session)},
    ${endSessions(sql`user_id in (select id from account) and id <> ${v.session}`)},
    ${audit('identity_removed', 'account', v)},
    ${notify('way_in_changed', 'account', config, sql`${cause(v)} || '{"what": "identity_removed"}'::jsonb`)}
    select exists (select from removed) as is_removed from found`,
  )
