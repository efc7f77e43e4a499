import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import type { Config } from '../config.ts'
import { migrations } from '../db/migrations.ts'
import { startFault } from '../start-faults.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

const OLDEST = 15
const CLOCK_SECONDS = 2

/** Asks PostgreSQL what the service needs of it. Changes nothing. */
export async function* databaseFindings(config: Config): AsyncGenerator<Finding> {
  const { DATABASE_URL: url, MIGRATION_DATABASE_URL: direct = url } = config
  if (url === undefined) yield fine('database', `embedded, in ${config.DATA_DIR}/`)
  else yield* postgresFindings(url, direct ?? url, config)
}

async function* postgresFindings(url: string, direct: string, config: Config): AsyncGenerator<Finding> {
  async function* service(sql: Sql) {
    yield* serverFindings(sql, config)
    yield await clockFinding(sql)
    if (direct === url) yield* migrator(sql)
  }
  async function* migrator(sql: Sql) {
    yield* migrationFindings(sql)
    yield* privilegeFindings(sql)
    yield await searchFinding(sql)
  }
  yield* asking(url, config, 'database', service)
  if (direct !== url) yield* asking(direct, config, 'migrations', migrator)
}

async function* asking(
  url: string,
  config: Config,
  about: string,
  ask: (sql: Sql) => AsyncGenerator<Finding>,
): AsyncGenerator<Finding> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 5,
    fetch_types: false,
    onnotice: () => undefined,
    prepare: false,
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

/** Of whoever migrates: to create, and to read and write every table that is there. */
async function* privilegeFindings(sql: Sql): AsyncGenerator<Finding> {
  const [may] = await sql`
    select current_user as role, has_schema_privilege(current_schema(), 'CREATE') as create_tables,
      to_regnamespace('drizzle') is not null or has_database_privilege(current_database(), 'CREATE') as create_schema`
  const denied = await sql`
    select relname from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace
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

/** Where the indexes can't be made, the migration goes on without, and searches read all rows. */
async function searchFinding(sql: Sql): Promise<Finding> {
  const [found] = await sql`
    select exists (select from pg_available_extensions where name = 'pg_trgm') as available,
      to_regclass('items') is not null as migrated, to_regclass('items_search_index') is not null as indexed`
  if (found?.indexed) return fine('search', 'is indexed by pg_trgm')
  if (!found?.available)
    return doubtful(
      'search',
      'pg_trgm is not there',
      "install PostgreSQL's contrib package; searches read all rows",
    )
  if (!found.migrated) return fine('search', 'pg_trgm is available')
  return doubtful('search', 'is not indexed, and reads all rows', MAKE_INDEXES)
}

/** To be run by whoever may make extensions. */
const MAKE_INDEXES =
  "create extension if not exists pg_trgm; select create_search_index('items', 'title', 'description'); " +
  "select create_search_index('users', 'email', 'full_name')"
