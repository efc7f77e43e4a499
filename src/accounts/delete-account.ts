import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { InvalidCredentials, LastSuperuser, SuperuserDeletesSelf, UserNotFound } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { type Trail, audit, trailOf } from './audit/audit.ts'
import { stillHas, twice } from './sessions/end-sessions.ts'
import { isSuperuser, lockSuperusers, othersRemain, userExists } from './users/last-superuser.ts'

/**
 * Deletes one's own account: DELETE /users/me.
 *
 * @returns what does so. @throws SuperuserDeletesSelf; InvalidCredentials where the session ended meanwhile
 */
export function deleteOwnAccount({ db, removeRowsOf }: SignedInApp) {
  return async (request: FastifyRequest & SignedIn) => {
    const { id, is_superuser, session_id: session } = request.user
    if (is_superuser) throw new SuperuserDeletesSelf()
    const [deleted] = await twice(() => db.run(deleteOwn, { id, session, ...trailOf(request) }))
    // Since the request was authenticated, the user was deleted or made a superuser, or the session ended.
    if (!deleted) throw (await isSuperuser(db, id)) ? new SuperuserDeletesSelf() : new InvalidCredentials()

    request.record('user_deleted')
    await removeRowsOf(id)
  }
}

/**
 * Deletes another's account: DELETE /users/{id}, for superusers.
 *
 * @returns what does so. @throws SuperuserDeletesSelf, UserNotFound, LastSuperuser
 */
export function deleteUser({ db, removeRowsOf }: SignedInApp) {
  return async (userId: string, request: FastifyRequest & SignedIn) => {
    const id = userId.toLowerCase()
    if (id === request.user.id) throw new SuperuserDeletesSelf()
    const [deleted] = await db.run(deleteAny, { id, ...trailOf(request) })
    if (!deleted) throw (await userExists(db, id)) ? new LastSuperuser() : new UserNotFound()

    request.record('user_deleted', { user_id: id })
    await removeRowsOf(id)
  }
}

/**
 * What a deletion does at once, however much the user has: nobody signs in or is signed in as them, their address is free,
 * and nothing personal is left in the row. What belongs to them is removed after it, in batches (database/upkeep/removal.ts).
 */
const asDeleted = sql`deleted_at = now(), email = 'deleted:' || ${users.id}, pending_email = null, full_name = null, hashed_password = '',
      claimed_password_hash = null, registered_from = null, is_active = false, is_superuser = false,
      credentials_version = credentials_version + 1`

/** No row where the user is a superuser, or the session has ended. */
const deleteOwn = statement<Trail & { id: string; session: string }, { id: string }>(
  'delete own account',
  (v) => sql`
    with deleted as (
      update ${users} set ${asDeleted}
      where id = ${v.id} and deleted_at is null and not is_superuser and ${stillHas(v.session)}
      returning id
    ),
    ${audit('user_deleted', 'deleted', v)}
    select id from deleted`,
)

/** No row where the user is the last active superuser. */
const deleteAny = statement<Trail & { id: string }, { id: string }>(
  'delete user',
  (v) => sql`
    with ${lockSuperusers},
    deleted as (
      update ${users} set ${asDeleted}
      where id = ${v.id} and deleted_at is null
        and (not (is_superuser and is_active) or ${othersRemain})
      returning id
    ),
    ${audit('user_deleted', 'deleted', v)}
    select id from deleted`,
)
