import { and, eq, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { SessionNotFound } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { sessions, users } from '../database/tables.ts'
import { value } from '../ownership/list/page-sql.ts'
import { type PageRequest, preparePages } from '../ownership/list/page.ts'
import { type Trail, audit, trailOf } from './audit/audit.ts'
import { endSessions, keepSession, stillHas } from './sessions/end-sessions.ts'

type SignedInRequest = FastifyRequest & SignedIn

/** Ends the session of the request: POST /login/logout. Its access and refresh tokens stop working at once. */
export function signOut({ db }: SignedInApp) {
  return async (request: SignedInRequest) => {
    const { id: user, session_id: session } = request.user
    await db.run(leaveSession, { user, session, ...trailOf(request) })
    request.record('sign_out', { session_id: session })
  }
}

/**
 * Ends one of one's own sessions: DELETE /users/me/sessions/{session_id}.
 *
 * @returns what does so. @throws SessionNotFound, for another's session, too
 */
export function endOwnSession({ db }: SignedInApp) {
  return async (session: string, request: SignedInRequest) => {
    const [ended] = await db.run(endSession, { user: request.user.id, session, ...trailOf(request) })
    if (!ended) throw new SessionNotFound()
    request.record('session_ended', { session_id: session })
  }
}

const compileEnd = (event: 'sign_out' | 'session_ended') =>
  statement<Trail & { user: string; session: string }, { id: string }>(
    `end session: ${event}`,
    (v) => sql`
    with ended as (
      delete from ${sessions} where user_id = ${v.user} and id = ${v.session} returning id, user_id
    ),
    ${audit(event, 'ended', v, { subject: sql`user_id`, session: sql`id` })}
    select id from ended`,
  )

const [leaveSession, endSession] = [compileEnd('sign_out'), compileEnd('session_ended')]

/** Ends one's own sessions except the one of the request: DELETE /users/me/sessions. */
export function endOtherSessions(app: SignedInApp) {
  return async (request: SignedInRequest) => {
    const { id: user, session_id: current } = request.user
    await app.db.run(endOthers, { user, current, ...trailOf(request) })
    app.removeEndedSessionsOf(user)
    request.record('session_ended')
  }
}

/**
 * The user's row is locked first, as in every statement that ends several sessions: two at once wait for each other there.
 * A session that was ended meanwhile ends no others.
 */
const endOthers = statement<Trail & { user: string; current: string }, { id: string }>(
  'end other sessions',
  (v) => sql`
    with owner as (
      update ${users} set credentials_version = credentials_version + 1
      where id = ${v.user} and ${stillHas(v.current)}
      returning id, credentials_version
    ),
    ${keepSession('owner', v.current)},
    ${endSessions(sql`user_id in (select id from owner) and id <> ${v.current}`)},
    ${audit('session_ended', 'owner', v, { details: sql`'{"all_others": true}'::jsonb` })}
    select id from owner`,
)

type SessionRow = typeof sessions.$inferSelect

/** One's own live sessions, newest first: GET /users/me/sessions. */
export function listSessions({ db }: SignedInApp) {
  const read = preparePages<SessionRow>(db, sessions, { where: isLive })
  return async (query: PageRequest<'created_at'>, user: SignedIn['user']) => {
    const page = await read(query, { user: user.id })
    const data = page.data.map((row) => ({
      ...row,
      authenticated_at: row.authenticated_at ?? row.created_at,
      is_current: row.id === user.session_id,
    }))
    return { ...page, data }
  }
}

/** Not expired, and opened since the user's sessions were last ended. */
const isLive = and(
  eq(sessions.user_id, value('user')),
  sql`${sessions.credentials_version} = (
    select ${users.credentials_version} from ${users} where ${users.id} = ${value('user')}
  )`,
  sql`${sessions.expires_at} > now()`,
)
