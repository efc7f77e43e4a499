import type { Static } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { CommonPassword, IncorrectPassword, SamePassword } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { oneTimeTokens, users } from '../database/tables.ts'
import { cause, notify } from '../mail/queue.ts'
import { normalPassword } from '../text/normal-password.ts'
import { type Trail, audit, auditFailures, trailOf } from './audit/audit.ts'
import { endSessions, keepSession } from './sessions/end-sessions.ts'
import { isGuessable } from './passwords/common-passwords.ts'
import type { UpdatePassword } from './schemas/users.ts'

/**
 * Changes one's own password, with the current one: PATCH /users/me/password. Every other session ends.
 *
 * @returns what does so. @throws IncorrectPassword, SamePassword, CommonPassword; ServiceUnavailable and TooManyRequests of
 *   the queue for hashing, TooManyRequests of the limits on tries
 */
export function changePassword(app: SignedInApp) {
  const { auth, config, db } = app
  const change = compileChange(config)
  const fail = auditFailures(app)

  return async (
    { current_password, new_password }: Static<typeof UpdatePassword>,
    request: FastifyRequest & SignedIn,
    reply: FastifyReply,
  ) => {
    const { id, email, session_id } = request.user
    const turn = reply.turn(id)

    /** @returns whether the password was changed; it was not where the stored hash changed since it was compared */
    async function attempt() {
      const [user] = await db.run(findHash, { id })
      const settle = (isRight: boolean) => request.settle(isRight)
      const { matches } = await auth.passwords.verify(user?.hashed_password, current_password, settle, turn)
      if (!user || !matches) {
        await fail('password_changed', { reason: 'password' }, request)
        throw new IncorrectPassword()
      }
      if (normalPassword(current_password) === new_password) throw new SamePassword()
      if (await isGuessable(new_password, { email, project: config.PROJECT_NAME }))
        throw new CommonPassword('new_password')

      const hashed_password = await auth.passwords.renew(new_password, turn)
      const { hashed_password: verified_hash } = user
      const values = { id, session_id, verified_hash, hashed_password, ...trailOf(request) }
      return (await db.run(change, values)).length > 0
    }

    await request.guess(['password_change', id], ['password_changes', id])
    // A sign-in may renew the hash meanwhile: then the password is still right, and the second attempt says so.
    if (!(await attempt()) && !(await attempt())) throw new IncorrectPassword()
    request.record('password_changed')
    app.removeEndedSessionsOf(id)
    app.mail.wake()
  }
}

const findHash = statement<{ id: string }, { hashed_password: string }>(
  'find password hash',
  (v) => sql`select hashed_password from ${users} where id = ${v.id} and deleted_at is null`,
)

interface Change extends Trail {
  readonly id: string
  readonly session_id: string
  readonly verified_hash: string
  readonly hashed_password: string
}

/**
 * Sets the password, ends every session of the user but this one and every one-time token, and mails a notice. No row where
 * the stored hash is no longer the one that the current password was compared with.
 */
const compileChange = (config: SignedInApp['config']) =>
  statement<Change, { id: string }>(
    'change password',
    (v) => sql`
    with account as (
      update ${users} set hashed_password = ${v.hashed_password}, pending_email = null, credentials_version = credentials_version + 1
      where id = ${v.id} and deleted_at is null and hashed_password = ${v.verified_hash}
      returning id, email, is_verified, credentials_version
    ),
    ${keepSession('account', v.session_id)},
    ${endSessions(sql`user_id in (select id from account) and id <> ${v.session_id}`)},
    dead as (
      delete from ${oneTimeTokens} where user_id in (select id from account)
    ),
    ${audit('password_changed', 'account', v)},
    ${notify('password_changed', 'account', config, cause(v))}
    select id from account`,
  )
