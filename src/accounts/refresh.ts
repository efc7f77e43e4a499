import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../config/config.ts'
import type { App } from '../contract/contract.ts'
import { InvalidCredentials } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { sessions, users } from '../database/tables.ts'
import { cause, notify } from '../mail/queue.ts'
import { type Trail, audit, trailOf } from './audit/audit.ts'
import { sessionEnd } from './sessions/guard.ts'

/**
 * Rotates a refresh token (RFC 9700, 4.14.2): POST /login/refresh-token. Each is good for one refresh. As an answer may be lost
 * and two tabs may ask at once, the one before the newest is answered with the newest again: for a minute, and after that
 * until a token issued with the newest is used. Otherwise an old token may be a stolen copy: it ends the session, and its
 * owner is told.
 *
 * @returns what does so, and gives the next tokens. @throws InvalidCredentials
 */
export function refresh(app: App) {
  const { auth, config, db } = app
  const rotate = compileRotate(config)

  return async (token: string, request: FastifyRequest) => {
    const named = auth.refreshTokens.open(token)
    if (!named) throw new InvalidCredentials() // no query for what was not issued by us
    const [session] = await db.run(rotate, { ...named, ...trailOf(request) })
    if (!session) throw new InvalidCredentials()
    const { id, user_id, generation, is_reused } = session
    if (is_reused) {
      request.record('refresh_reuse', { user_id, session_id: id, reason: 'old refresh token' })
      app.mail.wake()
    }
    if (generation === null) throw new InvalidCredentials()
    request.signedIn = { id: user_id, session_id: id }
    return auth.tokens({ id, user_id, generation })
  }
}

interface Rotated {
  readonly id: string
  readonly user_id: string
  /** Of the token to answer with; null where the given one is refused. */
  readonly generation: number | null
  /** Whether an old token was used again, which ended the session. */
  readonly is_reused: boolean
}

/**
 * Locks the user, then the session, in the order of every statement that ends sessions, and decides on what they are by
 * then: one that waited for another refresh or for a change of password sees what that did. `age` of a token: 0 is the
 * newest, 1 the one before it; negative after a backup was restored.
 */
const compileRotate = (config: App['config']) =>
  statement<Trail & { id: string; generation: number }, Rotated>('rotate refresh token', (v) => {
    const ofSession = sql`(
      select jsonb_build_object('session_device', user_agent, 'session_from', ip_address, 'session_at', created_at)
      from ended
    )`
    return sql`
    with owner as (
      select id, email, is_active, is_verified, credentials_version from ${users}
      where id in (select user_id from ${sessions} where id = ${v.id})
      for share
    ),
    session as (
      select ${sessions.id}, ${sessions.user_id}, owner.email, owner.is_verified, ${sessions.generation},
        ${sessions.generation} - ${v.generation}::integer as age,
        (
          owner.is_active and owner.credentials_version = ${sessions.credentials_version}
          and ${sessions.expires_at} > now() and ${isTrusted(config)}
        ) as is_live,
        (
          coalesce(${sessions.refreshed_at} > now() - interval '60 seconds', false)
          or coalesce(${sessions.seen_generation} < ${sessions.generation}, false)
        ) as is_repeatable
      from owner join ${sessions} on ${sessions.user_id} = owner.id
      where ${sessions.id} = ${v.id}
      for update of ${sessions}
    ),
    moved as (
      update ${sessions} set generation = ${sessions.generation} + 1,
        seen_generation = coalesce(${sessions.seen_generation}, ${sessions.generation}),
        refreshed_at = now(), last_used_at = now(), expires_at = ${sessionEnd(config, sql`${sessions.created_at}`)}
      from session where ${sessions.id} = session.id and is_live and age = 0
      returning ${sessions.generation}
    ),
    ended as (
      delete from ${sessions} using session
      where ${sessions.id} = session.id and is_live and (age > 1 or age = 1 and not is_repeatable)
      returning session.user_id as id, session.email, session.is_verified,
        ${sessions.user_agent}, ${sessions.ip_address}, ${sessions.created_at}
    ),
    ${audit('refresh_reuse', 'ended', v, { session: v.id, reason: 'old refresh token' })},
    ${notify('session_ended', 'ended', config, sql`${cause(v)} || ${ofSession}`)}
    select session.id, session.user_id, ended.id is not null as is_reused,
      coalesce(
        moved.generation, case when is_live and age = 1 and is_repeatable then session.generation end
      ) as generation
    from session left join moved on true left join ended on true`
  })

/** Where verification is required, the session of an unverified account is not refreshed. */
const isTrusted = ({ EMAIL_VERIFICATION }: Pick<Config, 'EMAIL_VERIFICATION'>): SQL =>
  EMAIL_VERIFICATION === 'required' ? sql`owner.is_verified` : sql`true`
