import { type SQL, sql } from 'drizzle-orm'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import {
  InvalidCredentials,
  NotAuthenticated,
  RecentSignInRequired,
  SecondFactorNeeded,
} from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { sessions, users } from '../../database/tables.ts'
import { findKey, noteKeyUse } from '../api-keys/find-key.ts'
import { hashOfKey, looksLikeKey } from '../api-keys/key.ts'
import { type AccessClaims, isAccessClaims, verifyAccessToken } from './session-tokens.ts'
import { type TemplateClaims, isTemplateClaims } from './template-tokens.ts'

/** The signed-in user, and the session of the access token. */
export interface CurrentUser {
  readonly id: string
  readonly email: string
  readonly is_active: boolean
  readonly is_superuser: boolean
  readonly is_verified: boolean
  readonly full_name: string | null
  readonly created_at: Date
  readonly session_id: string // empty for an API key, which gets to nothing that reads it
  /** The API key that stands for the user, and what it permits; null in a session. */
  readonly api_key: ApiKeyInUse | null
  /** Whether to write down that the session is in use (`touch`): a minute after the last time, or for a newer access token. */
  readonly session_unnoted: boolean
  /** Whether its user showed who they are within REAUTHENTICATION_MINUTES. */
  readonly session_fresh: boolean
  /** Whether they showed a second factor. */
  readonly session_factor: boolean
  /** Whether it stands for all tokens of the user that a template issued: what one of them shows, the others did not. */
  readonly session_shared: boolean
  /** Of the access token; -1 where it has none. */
  readonly generation: number
}

interface ApiKeyInUse {
  readonly id: string
  readonly permissions: ReadonlySet<string>
}

/** The guard of every request that needs a user. */
export interface Sessions {
  /**
   * The user of the request's bearer token (RFC 6750), an access token or an API key. User and session, or key, are checked in one
   * query, so that a revoked token is refused at once.
   *
   * @throws NotAuthenticated without a token; InvalidCredentials where it is forged, expired or revoked
   */
  authenticate(request: FastifyRequest): Promise<CurrentUser>
  /** The same of a token from elsewhere. */
  ofToken(token: string): Promise<CurrentUser>
  /** Writes down that the session or the key is in use: once for each access token, and once a minute. */
  touch(user: Pick<CurrentUser, 'session_id' | 'generation' | 'api_key'>): Promise<void>
}

const NO_GENERATION = -1
/** What a user has who is known by an API key: nothing that a session could do. */
const NO_SESSION = {
  session_id: '',
  session_fresh: false,
  session_factor: false,
  session_shared: false,
  generation: NO_GENERATION,
}
const OWN = { session_shared: false }
/** Whoever holds another token of the template must gain nothing by what is shown with this one. */
const SHARED = { session_fresh: false, session_factor: false, session_shared: true }

export function sessionGuard(
  app: Pick<FastifyInstance, 'db' | 'jwt'>,
  config: KeySettings & Pick<Config, 'EMAIL_VERIFICATION' | 'REAUTHENTICATION_MINUTES'>,
): Sessions {
  const { db } = app
  const verify = verifyAccessToken(app, keyring(config))
  const findUser = compileFindUser(config)
  const findUserOfTemplate = compileFindUserOfTemplate(config)
  // Where verification is required, an unverified account can't use a session that is open already, either.
  const needs_verified = config.EMAIL_VERIFICATION === 'required'

  async function ofKey(key: string): Promise<CurrentUser> {
    const hash = hashOfKey(key)
    if (hash === undefined) throw refusedToken('forged')
    const [found] = await db.run(findKey, { hash, needs_verified })
    if (!found) throw refusedToken('revoked')
    const { api_key_id: id, permissions, ...user } = found
    return Object.assign(user, {
      ...NO_SESSION,
      api_key: { id, permissions: new Set(permissions.split(' ')) },
    })
  }

  const ofSession = ({ sub: user, sid: session, gen: generation = NO_GENERATION }: AccessClaims) =>
    db.run(findUser, { user, session, generation, needs_verified })
  const ofTemplate = ({ sub: user, exp }: TemplateClaims) =>
    db.run(findUserOfTemplate, { user, exp, generation: NO_GENERATION, needs_verified })

  async function ofToken(token: string): Promise<CurrentUser> {
    if (looksLikeKey(token)) return ofKey(token)
    const claims = readClaims(app, verify, token)
    const isOwn = 'sid' in claims
    const [found] = await (isOwn ? ofSession(claims) : ofTemplate(claims))
    if (!found) throw refusedToken('revoked')
    return Object.assign(found, { api_key: null }, isOwn ? OWN : SHARED)
  }

  return {
    ofToken,
    authenticate: async (request) => ofToken(bearer(request)),
    async touch({ session_id: id, generation, api_key }) {
      await (api_key ? db.run(noteKeyUse, { id: api_key.id }) : db.run(noteUse, { id, generation }))
    },
  }
}

/** @throws RecentSignInRequired where the user of the session did not show who they are within REAUTHENTICATION_MINUTES */
export function requireFresh({ session_fresh }: Pick<CurrentUser, 'session_fresh'>): void {
  if (!session_fresh) throw new RecentSignInRequired()
}

/**
 * Where SECOND_FACTOR is superusers, one without a second factor in the session may do nothing but get one.
 *
 * @returns what checks that. @throws SecondFactorNeeded
 */
export const factorGuard =
  ({ SECOND_FACTOR }: Pick<Config, 'SECOND_FACTOR'>) =>
  ({ is_superuser, session_factor }: Pick<CurrentUser, 'is_superuser' | 'session_factor'>): void => {
    if (SECOND_FACTOR === 'superusers' && is_superuser && !session_factor) throw new SecondFactorNeeded()
  }

interface Claimed {
  readonly user: string
  readonly generation: number
  readonly needs_verified: boolean
}

type Found = Omit<CurrentUser, 'api_key' | 'session_shared'>
type GuardConfig = Pick<Config, 'REAUTHENTICATION_MINUTES'>

const compileFindUser = (config: GuardConfig) =>
  statement<Claimed & { session: string }, Found>(
    'find user of a session',
    (v) => userOfSession(config, v, sql`${sessions.id} = ${v.session}`),
    { isFirst: true },
  )

/**
 * For an access token of the FastAPI template: the session that the adoption opened for its user. A token that was made after it
 * lives longer than that session, and is refused; whoever signed up later has no such session.
 */
const compileFindUserOfTemplate = (config: GuardConfig) =>
  statement<Claimed & { exp: number }, Found>(
    'find user of a template token',
    (v) => {
      const standsForIt = sql`${sessions.user_id} = ${v.user} and 'template' = any(${sessions.methods})
      and extract(epoch from ${sessions.expires_at}) >= ${v.exp}::float8`
      return userOfSession(config, v, standsForIt)
    },
    { isFirst: true },
  )

const userOfSession = (
  { REAUTHENTICATION_MINUTES: minutes }: GuardConfig,
  v: Readonly<Record<keyof Claimed, SQL>>,
  isSession: SQL,
) => sql`
    select ${users.id}, ${users.email}, ${users.is_active}, ${users.is_superuser}, ${users.is_verified},
      ${users.full_name}, ${users.created_at}, ${sessions.id} as session_id,
      (
        ${sessions.last_used_at} < now() - interval '1 minute'
        or coalesce(${sessions.seen_generation} < ${v.generation}::integer, false)
      ) as session_unnoted,
      coalesce(${sessions.authenticated_at}, ${sessions.created_at}) > now() - interval '${sql.raw(String(minutes))} minutes'
        as session_fresh,
      ${sessions.methods} && '{otp,recovery,passkey}'::text[] as session_factor,
      ${v.generation}::integer as generation
    from ${sessions} join ${users} on ${users.id} = ${sessions.user_id}
    where ${isSession} and ${users.id} = ${v.user} and ${users.is_active}
      and ${sessions.credentials_version} = ${users.credentials_version} and ${sessions.expires_at} > now()
      and (${users.is_verified} or not ${v.needs_verified}::boolean)`

/** The condition again: of many requests at once, one writes. */
const noteUse = statement<{ id: string; generation: number }>(
  'note use of a session',
  (v) => sql`
    update ${sessions} set last_used_at = now(),
      seen_generation = greatest(${sessions.seen_generation}, ${v.generation}::integer)
    where id = ${v.id}
      and (last_used_at < now() - interval '1 minute' or seen_generation < ${v.generation}::integer)`,
)

function bearer({ headers }: FastifyRequest): string {
  const { authorization = '' } = headers
  if (authorization.startsWith('Bearer ') && !authorization.includes(' ', 7)) return authorization.slice(7)
  const [scheme, token, ...more] = authorization.trim().split(/\s+/)
  if (scheme?.toLowerCase() !== 'bearer') throw new NotAuthenticated()
  if (token === undefined || more.length > 0) throw refusedToken('forged')
  return token
}

function readClaims(
  { jwt }: Pick<FastifyInstance, 'jwt'>,
  verify: (token: string) => unknown,
  token: string,
): AccessClaims | TemplateClaims {
  const own = verified(() => verify(token))
  if (isAccessClaims(own)) return own
  const { template } = jwt
  const adopted = template && verified(() => template.verify(token))
  if (isTemplateClaims(adopted)) return adopted
  throw refusedToken(own === EXPIRED || adopted === EXPIRED ? 'expired' : 'forged')
}

const EXPIRED = Symbol('expired')

/** The payload; `EXPIRED`, or undefined where it is forged. */
function verified(verify: () => unknown): unknown {
  try {
    return verify()
  } catch (error) {
    return (error as { code?: string }).code === 'FAST_JWT_EXPIRED' ? EXPIRED : undefined
  }
}

/** @param reason for the log alone */
const refusedToken = (reason: string) => Object.assign(new InvalidCredentials(), { reason })

/** When a session ends: so many days after its last refresh, and 180 days after it was opened in any case. */
export const sessionEnd = (
  { REFRESH_TOKEN_EXPIRE_DAYS: days }: Pick<Config, 'REFRESH_TOKEN_EXPIRE_DAYS'>,
  openedAt = sql`now()`,
): SQL =>
  sql`least(now() + interval '${sql.raw(String(days * 24))} hours', ${openedAt} + interval '180 days')`
