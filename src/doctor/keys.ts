import type { Sql } from 'postgres'
import { KEY_IN_USE_MINUTES } from '../accounts/keys/note-keys.ts'
import { factorSecrets } from '../accounts/factors/codes.ts'
import type { Config } from '../config/config.ts'
import { keyring } from '../config/secrets/keys.ts'
import { knownNetworks } from '../config/limits.ts'
import { type Finding, doubtful, fine } from './findings.ts'

const TABLES = [
  'signing_keys',
  'sessions',
  'users',
  'one_time_tokens',
  'address_changes',
  'login_challenges',
  'oidc_codes',
  'oidc_states',
  'factors',
  'known_networks',
]

/** With SECRET_KEY_PREVIOUS: whether it can go, or what depends on it, and until when at the latest. */
export async function* keysFindings(sql: Sql, config: Config): AsyncGenerator<Finding> {
  const { current, previous } = keyring(config)
  // What the role may not read is told with the privileges, and a missing table with the migrations.
  const [tables] = await sql`
    select bool_and(has_table_privilege(oid, 'select')) and has_schema_privilege('public', 'usage')
      and count(*) = ${TABLES.length} as are_there
    from pg_class where relname in ${sql(TABLES)} and relnamespace = 'public'::regnamespace`
  if (!previous || current.secret === '' || !tables?.are_there) return
  const [use] = await sql<{ until: Date; is_over: boolean }[]>`
    select last_used_at + make_interval(mins => ${KEY_IN_USE_MINUTES}) as until,
      last_used_at + make_interval(mins => ${KEY_IN_USE_MINUTES}) < now() as is_over
    from signing_keys where id = ${previous.id}`
  if (!use)
    yield fine('keys', 'nothing was made with SECRET_KEY_PREVIOUS so far: it may become SECRET_KEY now')
  else if (!use.is_over)
    yield fine(
      'keys',
      `SECRET_KEY_PREVIOUS was SECRET_KEY of a process within the last ${KEY_IN_USE_MINUTES} minutes: it is needed`,
    )
  else yield findingOf(await dependent(sql, config, use.until))
}

interface Dependent {
  readonly sessions: number
  readonly links: number
  readonly factors: number
  readonly networks: number
  /** When the last of them ends by itself, second factors left out; null without any. */
  readonly ends_at: Date | null
}

/**
 * Counts what may have been made with the previous key, which was until then. Of a session that was refreshed since, the token
 * before the newest still counts until the newest is used (accounts/refresh.ts). An access token may have been made with it
 * until then, whatever its session.
 */
async function dependent(sql: Sql, config: Config, until: Date): Promise<Dependent> {
  const [found] = await sql<Dependent[]>`
    with live as (
      select sessions.expires_at, sessions.created_at, sessions.refreshed_at, sessions.generation, sessions.seen_generation
      from sessions join users on users.id = sessions.user_id
        and users.credentials_version = sessions.credentials_version
      where sessions.expires_at > now() and sessions.created_at <= ${until}
    ),
    session as (
      select expires_at from live
      where coalesce(refreshed_at, created_at) <= ${until} or coalesce(seen_generation < generation, false)
      union all
      select least(expires_at, ${until}::timestamptz + make_interval(mins => ${config.ACCESS_TOKEN_EXPIRE_MINUTES})) from live
      where refreshed_at > ${until} and coalesce(seen_generation >= generation, true)
        and now() < ${until}::timestamptz + make_interval(mins => ${config.ACCESS_TOKEN_EXPIRE_MINUTES})
    ),
    link as (
      select expires_at, created_at from one_time_tokens
      union all select expires_at, created_at from address_changes
      union all select expires_at, created_at from login_challenges
      union all select expires_at, created_at from oidc_codes
      union all select expires_at, created_at from oidc_states
    ),
    depending as (
      select 'session' as kind, expires_at from session
      union all select 'link', expires_at from link where created_at <= ${until} and expires_at > now()
      union all
      select 'network', signed_in_at + make_interval(days => ${knownNetworks.days}) from known_networks
      where signed_in_at <= ${until} and signed_in_at + make_interval(days => ${knownNetworks.days}) > now()
    )
    select count(*) filter (where kind = 'session')::integer as sessions,
      count(*) filter (where kind = 'link')::integer as links,
      count(*) filter (where kind = 'network')::integer as networks,
      (
        select count(*)::integer from factors
        where split_part(secret, '.', 1) = ${factorSecrets(config).previous ?? ''}
      ) as factors,
      max(expires_at) filter (where kind <> 'network') as ends_at
    from depending`
  return found!
}

function findingOf({ sessions, links, factors, networks, ends_at }: Dependent): Finding {
  const unknown = `${networks} known networks of accounts have their names by it, and are unknown without it`
  if (sessions + links + factors === 0)
    return doubtful(
      'keys',
      `no token and no second factor depends on SECRET_KEY_PREVIOUS${networks === 0 ? '' : `; ${unknown}`}`,
      'it can go',
    )
  const end = ends_at === null ? '' : `; tokens until ${ends_at.toISOString().slice(0, 16)}Z at the latest`
  return fine(
    'keys',
    `SECRET_KEY_PREVIOUS is needed: ${sessions} sessions, ${links} links and ${factors} second factors depend on it${end}`,
  )
}
