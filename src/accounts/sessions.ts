import { type SQL, type SQLWrapper, and, eq, sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { inMinutes, newRow, value, whenNeeded } from '../database/statements.ts'
import { sessions as table, users } from '../database/tables.ts'
import type { AccessClaims } from './access-tokens.ts'
import { rememberedNetwork } from './known-networks.ts'
import { signedIds } from '../config/signed-ids.ts'

/** Who is asking, and in which session. */
export interface CurrentUser {
  readonly id: string
  readonly email: string
  readonly is_active: boolean
  readonly is_superuser: boolean
  readonly is_verified: boolean
  readonly full_name: string | null
  readonly created_at: Date
  readonly session_id: string
  /** Whether its use is to be noted: it was last more than a minute ago, or that of an older access token. */
  readonly session_unnoted: boolean
  /** Of the access token; -1 where it tells none. */
  readonly generation: number
}

/** A sign-in whose password was right. */
export interface SignIn {
  readonly user_id: string
  /** The hash that the password was compared with; if it is another by now, the sign-in fails. */
  readonly verified_hash: string
  /** Replaces the hash where it is outdated. */
  readonly renewed_hash: string | undefined
  readonly user_agent: string | undefined
  readonly ip_address: string
  /** Its name, which the account knows from now on. */
  readonly network: string
}

export interface OpenSession {
  readonly id: string
  readonly user_id: string
  readonly generation: number
  /** `session.generation.mac`: derived, never stored. */
  readonly refresh_token: string
}

export interface Sessions {
  /** Opens a session, renews the hash, and notes the network, in one statement. Undefined where password or state changed meanwhile. */
  open(signIn: SignIn): Promise<OpenSession | undefined>
  /** Whose token this is; undefined where the session or its user is gone, inactive, or has other credentials now. */
  authenticate(claims: AccessClaims): Promise<CurrentUser | undefined>
  /** Notes the use of an access token, once of each and at most once a minute. */
  touch(user: Pick<CurrentUser, 'session_id' | 'generation'>): Promise<void>
  /** Ends a session: its access and refresh tokens are worth nothing from now on. */
  end(id: string): Promise<void>
}

/** The text of refresh tokens: `session.generation.mac`, derived and never stored. */
export interface RefreshTokens {
  signed(session: { id: string; user_id: string; generation: number }): OpenSession
  /** Which session and generation a text names; undefined where it is not ours. */
  open(text: string): { id: string; generation: number } | undefined
}

export function refreshTokens({ SECRET_KEY }: Pick<Config, 'SECRET_KEY'>): RefreshTokens {
  const texts = signedIds(SECRET_KEY, 'refresh-token')
  return {
    signed: ({ id, user_id, generation }) => ({
      id,
      user_id,
      generation,
      refresh_token: texts.sign(`${id}.${generation}`),
    }),
    open(text) {
      const [id, generation] = texts.open(text)?.split('.') ?? []
      return id === undefined ? undefined : { id, generation: Number(generation) }
    },
  }
}

const MINUTES_A_DAY = 24 * 60
/** A session ends then, however often it is refreshed. */
const LONGEST_DAYS = 180
const USER_AGENT_LENGTH = 255
/** The generation of an access token that tells none. */
const NONE = -1
const A_MINUTE_AGO = sql`now() - interval '1 minute'`

/** When a session ends that was opened at `since` and is refreshed now. */
export const sessionEnd = (
  config: Pick<Config, 'REFRESH_TOKEN_EXPIRE_DAYS'>,
  since: SQLWrapper = sql`now()`,
) =>
  sql`least(${inMinutes(config.REFRESH_TOKEN_EXPIRE_DAYS * MINUTES_A_DAY)}, ${since} + make_interval(days => ${LONGEST_DAYS}::integer))`

/** Where addresses have to be verified, an account whose address is not gets nothing, in an open session neither. */
const isTrusted = (config: Pick<Config, 'EMAIL_VERIFICATION'>): SQL | undefined =>
  config.EMAIL_VERIFICATION === 'required' ? users.is_verified.getSQL() : undefined

type SessionConfig = Pick<Config, 'REFRESH_TOKEN_EXPIRE_DAYS' | 'EMAIL_VERIFICATION'>

export function sessions(db: Database, config: SessionConfig, tokens: RefreshTokens): Sessions {
  const run = whenNeeded(() => prepare(db, config))
  return {
    async open({ renewed_hash, user_agent, ...signIn }) {
      const statement = renewed_hash === undefined ? run().open : run().renewAndOpen
      const values = { ...signIn, renewed_hash, user_agent: user_agent?.slice(0, USER_AGENT_LENGTH) ?? null }
      const [session] = await statement.execute(values)
      return session && tokens.signed(session)
    },
    async authenticate(claims) {
      const [user] = await run().authenticate.execute({
        user: claims.sub,
        session: claims.sid,
        generation: claims.gen ?? NONE,
      })
      return user
    },
    touch: async ({ session_id: id, generation }) => void (await run().touch.execute({ id, generation })),
    end: async (id) => void (await run().end.execute({ id })),
  }
}

function prepare(db: Database, config: SessionConfig) {
  const given = sql`${value('generation')}::integer`
  const account = { id: users.id, credentials_version: users.credentials_version }
  const unchanged = and(
    eq(users.id, value('user_id')),
    eq(users.hashed_password, value('verified_hash')),
    users.is_active,
  )
  const renewed = db.update(users).set({ hashed_password: sql`${value('renewed_hash')}` })
  const sources = {
    open: db.$with('account').as(db.select(account).from(users).where(unchanged).for('key share')),
    renewAndOpen: db.$with('account').as(renewed.where(unchanged).returning(account)),
  }
  const open = (name: keyof typeof sources) => {
    const source = sources[name]
    const row = newRow(table, {
      user_id: source.id,
      credentials_version: source.credentials_version,
      user_agent: sql`${value('user_agent')}`,
      ip_address: sql`${value('ip_address')}`,
      expires_at: sessionEnd(config),
    })
    const known = db.$with('known').as(rememberedNetwork(db, source))
    return db
      .with(source, known)
      .insert(table)
      .select((qb) => qb.select(row as never).from(source))
      .returning({ id: table.id, user_id: table.user_id, generation: table.generation })
      .prepare(`session_${name}`)
  }
  return {
    open: open('open'),
    renewAndOpen: open('renewAndOpen'),
    /** Runs on every request of somebody signed in. */
    authenticate: db
      .select({
        id: users.id,
        email: users.email,
        is_active: users.is_active,
        is_superuser: users.is_superuser,
        is_verified: users.is_verified,
        full_name: users.full_name,
        created_at: users.created_at,
        session_id: sql<string>`${table.id}`.as('session_id'),
        session_unnoted: sql<boolean>`(
          ${table.last_used_at} < ${A_MINUTE_AGO} or coalesce(${table.seen_generation} < ${given}, false)
        )`.as('session_unnoted'),
        generation: sql<number>`${given}`.as('generation'),
      })
      .from(table)
      .innerJoin(users, eq(users.id, table.user_id))
      .where(
        and(
          eq(table.id, value('session')),
          eq(users.id, value('user')),
          users.is_active,
          eq(table.credentials_version, users.credentials_version),
          sql`${table.expires_at} > now()`,
          isTrusted(config),
        ),
      )
      .prepare('session_authenticate'),
    touch: db
      .update(table)
      .set({
        last_used_at: sql`now()`,
        seen_generation: sql`greatest(${table.seen_generation}, ${given})`,
      })
      .where(
        and(
          eq(table.id, value('id')),
          sql`(${table.last_used_at} < ${A_MINUTE_AGO} or ${table.seen_generation} < ${given})`,
        ),
      )
      .prepare('session_touch'),
    end: db
      .delete(table)
      .where(eq(table.id, value('id')))
      .prepare('session_end'),
  }
}
