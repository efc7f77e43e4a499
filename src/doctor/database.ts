import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Sql } from 'postgres'
import type { Config } from '../config/config.ts'
import { readEmail } from '../text/email-address.ts'
import { isLoopbackOnly, readDatabaseUrl } from '../config/database/database-url.ts'
import { forgottenMigration } from '../database/migrate/forgotten-migration.ts'
import { MIGRATION_LOCK_HOLDER } from '../database/migrate/migration-lock.ts'
import { migrations } from '../database/migrate/migrations.ts'
import { HOW_TO_ADOPT, NOT_ADOPTED, TEMPLATE } from '../database/migrate/template.ts'
import { direct as settings, throughPooler } from '../config/database/session-parameters.ts'
import { openPostgres } from '../database/pool/open-postgres.ts'
import { searchedColumns } from '../ownership/owned-table.ts'
import { SETTINGS, type Settings, checkDatabase, checkSettings } from '../database/pool/session-settings.ts'
import * as tables from '../database/tables.ts'
import { POOLER_FAULT, POOLER_FIX, keepsPreparedStatements, mayBePooled } from '../operations/pooler.ts'
import { startFault } from '../operations/start-faults.ts'
import { accountsFindings } from './accounts.ts'
import { keysFindings } from './keys.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

const OLDEST = 15
const CLOCK_SECONDS = 2

/** Checks that the migrations match the tables. @param resources tables beside those of tables.ts */
export function* schemaFindings(resources: readonly object[]): Generator<Finding> {
  const forgotten = forgottenMigration([...Object.values(tables), ...resources])
  if (forgotten !== undefined) yield wrong('migrations', forgotten)
}

/** Checks PostgreSQL. Changes nothing. @param resources tables beside those of tables.ts */
export async function* databaseFindings(
  config: Config,
  resources: readonly object[],
): AsyncGenerator<Finding> {
  const { DATABASE_URL: url, MIGRATION_DATABASE_URL: direct = url } = config
  if (url === undefined)
    yield config.ENVIRONMENT === 'local'
      ? fine('database', `embedded, in ${config.DATA_DIR}/`)
      : wrong('database', 'embedded, which is for local alone', 'set DATABASE_URL')
  else if (isFaulty(url) || isFaulty(direct ?? url))
    return // told above, with the environment
  else yield* postgresFindings(url, direct ?? url, config, resources)
}

function isFaulty(url: string): boolean {
  try {
    return !readDatabaseUrl(url)
  } catch {
    return true
  }
}

async function* postgresFindings(
  url: string,
  direct: string,
  config: Config,
  resources: readonly object[],
): AsyncGenerator<Finding> {
  async function* service(sql: Sql) {
    yield* serverFindings(sql, config)
    await checkDatabase(sql)
    if (direct !== url) {
      const [found] = await sql.unsafe<Settings[]>(SETTINGS)
      yield* usageFindings(sql, found!)
      if (found!.may_use) checkSettings(found)
    }
    yield* localeFindings(sql)
    yield* accountsFindings(sql, config)
    yield* keysFindings(sql, config)
    yield await clockFinding(sql)
    if (direct === url) yield* migrator(sql)
  }
  async function* migrator(sql: Sql) {
    const [found] = await sql.unsafe<{ has_template: boolean; has_own: boolean }[]>(TEMPLATE)
    if (found?.has_template && !found.has_own) yield wrong('adoption', NOT_ADOPTED, HOW_TO_ADOPT)
    else yield* migrationFindings(sql)
    if (found?.has_template && found.has_own)
      yield doubtful(
        'adoption',
        'the table "user" of a FastAPI template is here, which this service does not read',
        HOW_TO_ADOPT,
      )
    yield* lockFindings(sql)
    yield* privilegeFindings(sql)
    yield await searchFinding(sql, resources)
  }
  yield* tlsFindings(url, config)
  yield* asking(url, config, 'database', service)
  if (await mayBePooled(config)) yield* poolerFindings(url)
  if (direct !== url) yield* asking(direct, config, 'migrations', migrator)
}

/** Prepared statements must survive a transaction, as each is prepared once per connection. */
async function* poolerFindings(url: string): AsyncGenerator<Finding> {
  if (await keepsPreparedStatements(url)) return
  yield wrong('pooler', POOLER_FAULT, POOLER_FIX)
}

/** Without verified TLS, somebody in between can read and change everything. */
function* tlsFindings(url: string, { ENVIRONMENT }: Config): Generator<Finding> {
  const read = readDatabaseUrl(url)
  if (isLoopbackOnly(read)) return
  if (read.tls === 'verified') yield fine('tls', "the database's certificate and its name are checked")
  else if (ENVIRONMENT !== 'local' || read.tls !== 'none')
    yield doubtful(
      'tls',
      `the connection to the database: ${TLS_TEXTS[read.tls]}`,
      'sslmode=verify-full in DATABASE_URL',
    )
}

const TLS_TEXTS = {
  none: 'not encrypted',
  'where offered': 'encrypted only where nobody in between prevents it',
  encrypted: 'encrypted, with whoever answers',
  'verified authority': 'encrypted, with whoever has a certificate of that authority',
}

async function* asking(
  url: string,
  config: Config,
  about: string,
  ask: (sql: Sql) => AsyncGenerator<Finding>,
): AsyncGenerator<Finding> {
  const sql = openPostgres(url, {
    max: 1,
    connect_timeout: 5,
    fetch_types: false,
    onnotice: () => undefined,
    prepare: false,
    connection: config.MIGRATION_DATABASE_URL === undefined ? settings : throughPooler,
  })
  try {
    yield* ask(sql)
  } catch (error) {
    yield wrong(about, startFault(error, config) ?? (error as Error).message)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function* serverFindings(sql: Sql, config: Config): AsyncGenerator<Finding> {
  const [server] = await sql`
    select current_setting('server_version') as version, current_setting('server_version_num')::integer / 10000 as major,
      current_setting('max_connections')::integer as most, current_setting('statement_timeout') as statement_timeout,
      pg_is_in_recovery() as standby`
  const { version, major, most, statement_timeout, standby } = server as Record<string, never>
  if (Number(major) < OLDEST)
    yield wrong('database', `PostgreSQL ${version}`, `version ${OLDEST} or later is needed`)
  else yield fine('database', `PostgreSQL ${version}, at most ${most} connections`)
  if (standby) yield wrong('database', 'a standby takes no writes', 'let DATABASE_URL lead to the primary')
  if (config.DATABASE_POOL_SIZE > Number(most) / 2)
    yield doubtful(
      'database',
      `DATABASE_POOL_SIZE ${config.DATABASE_POOL_SIZE} leaves little for other replicas`,
      'all of them together must stay below max_connections',
    )
  if (config.MIGRATION_DATABASE_URL !== undefined && statement_timeout === '0')
    yield doubtful(
      'database',
      'the server ends no statement by itself, and through a pooler the service cannot ask it to',
      "alter role … set statement_timeout = '5s'; alter role … set lock_timeout = '3s'",
    )
}

/** Addresses are looked up in lower case; the locale "C" does not fold non-ASCII letters of rows that others wrote. */
async function* localeFindings(sql: Sql): AsyncGenerator<Finding> {
  const [found] = await sql`
    select lower('É') = 'é' as knows_letters, to_regclass('public.users') is not null as is_migrated`
  if (found?.knows_letters || !found?.is_migrated) return
  const stored = await sql<{ email: string }[]>`
    select email from users where octet_length(email) > length(email) limit ${MOST_ADDRESSES}`
  const lost = stored.filter(({ email }) => localPartOf(readEmail(email)) !== localPartOf(email))
  if (lost.length > 0)
    yield doubtful(
      'database',
      `${lost.length} stored addresses have capital letters beyond ASCII, and its locale finds them no more`,
      'update users set email = lower(email collate "und-x-icu") where octet_length(email) > length(email)',
    )
}

const MOST_ADDRESSES = 10_000

const localPartOf = (email: string) => email.slice(0, email.lastIndexOf('@'))

async function clockFinding(sql: Sql): Promise<Finding> {
  const before = Date.now()
  const [row] = await sql`select extract(epoch from clock_timestamp())::float8 * 1000 as now`
  const middle = (before + Date.now()) / 2
  const seconds = Math.abs(Number(row?.now) - middle) / 1000
  const text = `${seconds.toFixed(1)} s from the database's`
  return seconds <= CLOCK_SECONDS
    ? fine('clock', text)
    : doubtful('clock', text, 'synchronise both by NTP; tokens are dated by this one, sessions by the other')
}

interface Journal {
  readonly entries: readonly { readonly when: number; readonly tag: string }[]
}

async function* migrationFindings(sql: Sql): AsyncGenerator<Finding> {
  const file = join(migrations.migrationsFolder, 'meta', '_journal.json')
  const { entries } = JSON.parse(readFileSync(file, 'utf8')) as Journal
  const [table] = await sql`
    select has_schema_privilege(relnamespace, 'USAGE') and has_table_privilege(pg_class.oid, 'SELECT') as readable
    from pg_class where relname = '__drizzle_migrations' and relnamespace = to_regnamespace('drizzle')`
  if (table && !table.readable) {
    yield wrong('migrations', 'what was applied may not be read', 'migrate as the owner of the tables')
    return
  }
  const [row] = table
    ? await sql`select max(created_at)::float8 as newest from drizzle.__drizzle_migrations`
    : []
  const newest = Number(row?.newest ?? 0)
  const pending = entries.filter(({ when }) => when > newest)
  if (pending.length > 0)
    yield doubtful(
      'migrations',
      `pending: ${pending.map(({ tag }) => tag).join(', ')}`,
      'the next start applies them, or node dist/scripts/migrate.js (npm run db:migrate)',
    )
  else if (newest > (entries.at(-1)?.when ?? 0))
    yield doubtful(
      'migrations',
      'the database is ahead of this build',
      'fine while a new version is rolled out',
    )
  else yield fine('migrations', `all ${entries.length} are applied`)
}

/** A lock that is held for long is not held by a migration. */
async function* lockFindings(sql: Sql): AsyncGenerator<Finding> {
  const [found] = await sql.unsafe<{ holder: string }[]>(MIGRATION_LOCK_HOLDER)
  if (found) yield wrong('migrations', `another connection holds the lock of migrations: ${found.holder}`)
}

/** Privileges of the service's role, if another one migrates: read and write every table. */
async function* usageFindings(sql: Sql, { role, may_use }: Settings): AsyncGenerator<Finding> {
  if (!may_use)
    yield wrong(
      'privileges',
      `${role} may not use the schema public`,
      `grant usage on schema public to ${role}`,
    )
  const denied = await sql<{ missing: string; names: string }[]>`
    select missing, string_agg(name, ', ' order by name) as names from (
      select quote_ident(relname) as name,
        string_agg(privilege, ', ' order by place) || case relkind when 'S' then ' on sequence' else ' on' end as missing
      from pg_class, unnest(
        case relkind when 'S' then array['usage'] else array['select', 'insert', 'update', 'delete'] end
      ) with ordinality as needed (privilege, place)
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S')
        and not case relkind when 'S' then has_sequence_privilege(oid, privilege)
          else has_table_privilege(oid, privilege) end
      group by relname, relkind
    ) as denied group by missing order by missing`
  for (const { missing, names } of denied) {
    const what = `${missing} ${names}`
    yield wrong('privileges', `${role} lacks ${what}`, `grant ${what} to ${role}`)
  }
  if (may_use && denied.length === 0) yield fine('privileges', `${role} may use the tables`)
}

/** Privileges of the migrating role: create, and read and write every table. */
async function* privilegeFindings(sql: Sql): AsyncGenerator<Finding> {
  const [may] = await sql`
    select quote_ident(current_user) as role, has_schema_privilege('public', 'CREATE') as create_tables,
      to_regnamespace('drizzle') is not null or has_database_privilege(current_database(), 'CREATE') as create_schema`
  const denied = await sql`
    select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
      and not (has_table_privilege(oid, 'SELECT') and has_table_privilege(oid, 'INSERT')
        and has_table_privilege(oid, 'UPDATE') and has_table_privilege(oid, 'DELETE'))`
  const role = String(may?.role)
  if (!may?.create_tables)
    yield wrong('privileges', `${role} may create no tables`, `grant create on schema public to ${role}`)
  if (!may?.create_schema)
    yield wrong('privileges', `${role} may create no schema`, `grant create on database … to ${role}`)
  if (denied.length > 0) {
    const names = denied.map(({ relname }) => String(relname)).join(', ')
    yield wrong(
      'privileges',
      `${role} may not use ${names}`,
      `grant all on all tables in schema public to ${role}`,
    )
  }
  if (may?.create_tables && may.create_schema && denied.length === 0)
    yield fine('privileges', `${role} may create and use its tables`)
}

/** Without pg_trgm the migration skips search indexes, and searches read all rows. */
async function searchFinding(sql: Sql, resources: readonly object[]): Promise<Finding> {
  const searched = new Map([['users', ['email', 'full_name']], ...searchedColumns(resources)])
  const indexes = Array.from(searched.keys(), (name) => `${name}_search_index`).join()
  const [found] = await sql`
    select exists (select from pg_available_extensions where name = 'pg_trgm') as available,
      to_regclass('users') is not null as migrated,
      not exists (select from string_to_table(${indexes}, ',') as name where to_regclass(name) is null) as indexed`
  if (found?.indexed) return fine('search', 'is indexed by pg_trgm')
  if (!found?.available)
    return doubtful(
      'search',
      'pg_trgm is not there',
      "install PostgreSQL's contrib package; searches read all rows",
    )
  if (!found.migrated) return fine('search', 'pg_trgm is available')
  return doubtful('search', 'is not indexed, and reads all rows', makeIndexes(searched))
}

/** For a role that may create extensions. */
const makeIndexes = (searched: ReadonlyMap<string, readonly string[]>) =>
  [
    'create extension if not exists pg_trgm',
    ...Array.from(
      searched,
      ([name, columns]) => `select create_search_index('${[name, ...columns].join("', '")}')`,
    ),
  ].join('; ')
