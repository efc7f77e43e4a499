import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { sessions, users } from '../database/tables.ts'
import { notice } from './notices.ts'
import { type OpenSession, type RefreshTokens, sessionEnd } from './sessions.ts'

/** What came of a refresh token. */
export interface Refreshed {
  readonly user_id: string
  readonly session_id: string
  /** The session with its next token; undefined where the token was not good, or too old. */
  readonly session: OpenSession | undefined
  /** Whether an old token was used again, which ended the session: somebody else may have a copy of it. */
  readonly reused: boolean
}

/**
 * Refresh rotation (RFC 9700, 4.14.2): each token is good for one refresh. The one before the newest is answered with
 * the same successor until something that came with that one is used, as the answer may have been lost, and for a minute
 * in any case, as two tabs may ask at once. After that, and for anything older, the session ends and its owner is told.
 *
 * @returns undefined where no live session is meant
 */
export type Refresh = (refreshToken: string, ipAddress: string) => Promise<Refreshed | undefined>

/** How long the token before the newest is good in any case. */
const GRACE = sql`interval '60 seconds'`

export function refresh(
  db: Database,
  config: Pick<Config, 'mail' | 'EMAIL_VERIFICATION' | 'RATE_LIMIT_ENABLED' | 'REFRESH_TOKEN_EXPIRE_DAYS'>,
  tokens: RefreshTokens,
): Refresh {
  const statement = whenNeeded(() => prepare(db, config))
  return async (refreshToken, ip_address) => {
    const named = tokens.open(refreshToken)
    if (!named) return undefined
    const [found] = await statement().execute({ ...named, ip_address })
    if (!found) return undefined
    const { id, user_id, generation } = found
    const session = generation === null ? undefined : tokens.signed({ id, user_id, generation })
    return { user_id, session_id: id, session, reused: found.ended !== null }
  }
}

/**
 * Locks the user, then the session, and decides on what they are then: a refresh that waited for another, or for a
 * change of password, sees what that one did. The order is that of every statement that ends sessions.
 */
function prepare(
  db: Database,
  config: Pick<Config, 'mail' | 'EMAIL_VERIFICATION' | 'RATE_LIMIT_ENABLED' | 'REFRESH_TOKEN_EXPIRE_DAYS'>,
) {
  const named = db
    .select({ user_id: sessions.user_id })
    .from(sessions)
    .where(eq(sessions.id, value('id')))
  const isTrusted = config.EMAIL_VERIFICATION === 'required' ? sql`owner.is_verified` : sql`true`
  const owner = db.$with('owner').as(db.select().from(users).where(inArray(users.id, named)).for('share'))
  const session = db.$with('session').as(
    db
      .select({
        id: sessions.id,
        user_id: sessions.user_id,
        email: sql<string>`${owner.email}`.as('email'),
        is_verified: sql<boolean>`${owner.is_verified}`.as('is_verified'),
        generation: sessions.generation,
        live: sql<boolean>`(
          ${owner.is_active} and ${owner.credentials_version} = ${sessions.credentials_version}
          and ${sessions.expires_at} > now() and ${isTrusted}
        )`.as('live'),
        repeatable: sql<boolean>`(
          coalesce(${sessions.refreshed_at} > now() - ${GRACE}, false)
          or coalesce(${sessions.seen_generation} < ${sessions.generation}, false)
        )`.as('repeatable'),
      })
      .from(owner)
      .innerJoin(sessions, eq(sessions.user_id, owner.id))
      .where(eq(sessions.id, value('id')))
      .for('update', { of: sessions }),
  )
  const given = sql`${value('generation')}::integer`
  const isNewest = sql`${session.generation} = ${given}`
  const isRepeated = sql`(${session.generation} = ${given} + 1 and ${session.repeatable})`
  const isOld = sql`(${session.generation} > ${given} and not ${isRepeated})`

  const moved = db.$with('moved').as(
    db
      .update(sessions)
      .set({
        generation: sql`${sessions.generation} + 1`,
        seen_generation: sql`coalesce(${sessions.seen_generation}, ${sessions.generation})`,
        refreshed_at: sql`now()`,
        last_used_at: sql`now()`,
        expires_at: sessionEnd(config, sessions.created_at),
      })
      .from(session)
      .where(and(eq(sessions.id, session.id), session.live, isNewest))
      .returning({ generation: sessions.generation }),
  )
  const ended = db.$with('ended').as(
    db
      .delete(sessions)
      .where(
        inArray(sessions.id, db.select({ id: session.id }).from(session).where(and(session.live, isOld))),
      )
      .returning({ id: sessions.id }),
  )
  const told = db.$with('told').as(
    db
      .select({ id: session.user_id, email: session.email, is_verified: session.is_verified })
      .from(session)
      .innerJoin(ended, sql`true`),
  )
  const repeated = sql`case when ${session.live} and ${isRepeated} then ${session.generation} end`
  return db
    .with(owner, session, moved, ended, told, ...notice(db, told, 'session_ended', told, config))
    .select({
      id: session.id,
      user_id: session.user_id,
      generation: sql<number | null>`coalesce(${moved.generation}, ${repeated})`,
      ended: sql<string | null>`${ended.id}`,
    })
    .from(session)
    .leftJoin(moved, sql`true`)
    .leftJoin(ended, sql`true`)
    .prepare('session_refresh')
}
