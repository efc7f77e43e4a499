import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { direct } from '../../src/config/database/session-parameters.ts'
import { type Settings, SETTINGS as ASKED, checkSettings } from '../../src/database/pool/session-settings.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { needsPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { createPapers } from '../support/papers.ts'
import { launch, start, temporaryFolder } from '../support/process.ts'
import { type Service, startService } from '../support/service.ts'

const SECRET_KEY = 'only for tests, and long enough for that'

/** A database with other settings, made by statements that get its name, and owned by `role`. */
async function setUp(t: Test, statements: (database: string) => string[], role = 'postgres') {
  const server = process.env.TEST_DATABASE_URL!
  const url = new URL(await createDatabase(server))
  const sql = postgres(url.href, { max: 1, onnotice: () => undefined })
  const database = url.pathname.slice(1)
  if (role !== 'postgres') {
    const admin = postgres(server, { max: 1 })
    await admin.unsafe(`create role "${role}" login`)
    await admin.unsafe(`alter database ${database} owner to "${role}"`)
    t.teardown(async () => {
      await admin.unsafe(`drop role "${role}"`)
      await admin.end()
    })
    url.username = role
  }
  t.teardown(async () => {
    await sql.end({ timeout: 1 })
    await dropDatabase(server, url.href)
  })
  for (const statement of statements(database)) await sql.unsafe(statement)
  return { url: url.href, sql, database }
}

/** Checks what users see: times are current, pages complete, counts right. */
async function isRight(t: Test, { app, call, person, admin }: Service, message: string) {
  await createPapers(app.db)
  const as = await person()
  const isNow = (time: string) => Math.abs(Date.parse(time) - Date.now()) < 60_000
  for (const title of ['a', 'b', 'c']) {
    const { status, body } = await call('POST', '/papers/', { as, body: { title, description: null } })
    t.equal(status, 200, message)
    t.ok(isNow(body.created_at), `${message}: ${body.created_at}`)
    await pause(2) // the order is that of created_at, in milliseconds
  }
  for (const sort of ['created_at', 'title']) {
    const first = await call('GET', `/papers/?limit=2&sort=${sort}`, { as })
    t.match(first.body, { data: [{ title: 'a' }, { title: 'b' }], count: 3 }, message)
    const second = await call('GET', `/papers/?limit=2&sort=${sort}&cursor=${first.body.next_cursor}`, { as })
    t.match(second.body, { data: [{ title: 'c' }], count: 3, next_cursor: null }, message)
  }
  const sessions = await call('GET', '/users/me/sessions', { as })
  t.ok(isNow(sessions.body.data[0].created_at), `${message}: ${sessions.body.data[0].created_at}`)
  const users = await call('GET', '/users/', { as: admin })
  t.equal(users.body.count, users.body.data.length, message)
  const keyed = { as, body: { title: 'd' }, headers: { 'idempotency-key': 'one' } }
  t.strictSame(
    (await call('POST', '/papers/', keyed)).body,
    (await call('POST', '/papers/', keyed)).body,
    message,
  )
}

const SETTINGS = {
  DateStyle: "'German'",
  'DateStyle of the day first': "'SQL, DMY'",
  TimeZone: "'Asia/Kathmandu'",
  IntervalStyle: "'sql_standard'",
  bytea_output: "'escape'",
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  default_transaction_isolation: "'serializable'",
  search_path: 'elsewhere',
}
const altered =
  (database: string) =>
  ([name, value]: [string, string]) =>
    `alter database ${database} set ${name.replace(/ .*/, '')} = ${value}`

void test('settings of the database do not change answers', needsPostgres, async (t) => {
  const { DateStyle: german, ...others } = SETTINGS
  for (const settings of [others, { DateStyle: german }]) {
    const message = Object.keys(settings).join()
    const { url } = await setUp(t, (database) => [
      'create schema elsewhere',
      ...Object.entries(settings).map(altered(database)),
    ])
    const connection = connectPostgres({ url, migrationUrl: url, poolSize: 3, timeoutMs: 5_000 })
    await isRight(t, await startService(t, {}, { connection }), message)
    await connection.close()
  }
})

void test(
  'settings of the database do not change answers through a pooler that takes few settings',
  needsPgbouncer,
  async (t) => {
    const { DateStyle: german, TimeZone, 'DateStyle of the day first': sql } = SETTINGS
    const pooler = await startPgbouncer(process.env.TEST_DATABASE_URL!)
    t.teardown(() => pooler.stop())
    const through = (url: string) => Object.assign(new URL(url), { host: new URL(pooler.url).host }).href
    for (const DateStyle of [german, sql]) {
      const { url } = await setUp(t, (database) =>
        Object.entries({ DateStyle, TimeZone }).map(altered(database)),
      )
      const connection = connectPostgres({
        url: through(url),
        migrationUrl: url,
        poolSize: 3,
        timeoutMs: 5_000,
      })
      await isRight(t, await startService(t, {}, { connection }), DateStyle)
      await connection.close()
    }

    await t.test('settings that a pooler cannot override fail the start, with the SQL to fix', async (t) => {
      const { url } = await setUp(t, (database) => [
        'create schema elsewhere',
        ...Object.entries({
          search_path: 'elsewhere, public',
          default_transaction_isolation: "'repeatable read'",
          extra_float_digits: '0',
          bytea_output: "'escape'",
        }).map(altered(database)),
      ])
      const running = await launch(t, {
        folder: temporaryFolder(t),
        env: { SECRET_KEY, DATABASE_URL: through(url), MIGRATION_DATABASE_URL: url },
      })
      t.equal(await running.exited, 1)
      t.match(
        running.output(),
        /^Connections are set otherwise .*alter role postgres set search_path = public; alter role postgres set default_transaction_isolation = 'read committed'; alter role postgres set extra_float_digits = 1; alter role postgres set bytea_output = hex\.$/m,
      )
    })
  },
)

void test('a wrong session setting is reported with the SQL that fixes it', needsPostgres, async (t) => {
  const sql = postgres(process.env.TEST_DATABASE_URL!, { max: 1, fetch_types: false })
  t.teardown(() => sql.end({ timeout: 1 }))
  const { TimeZone: _, ...asked } = SETTINGS // set by every connection, and kept by poolers
  for (const [name, value] of Object.entries({ ...asked, 'extra_float_digits that round': '0' })) {
    const setting = name.replace(/ .*/, '')
    for (const [own, right] of Object.entries(direct)) await sql`select set_config(${own}, ${right}, false)`
    checkSettings((await sql.unsafe<Settings[]>(ASKED))[0])
    await sql.unsafe(`set ${setting} = ${value}`)
    const [found] = await sql.unsafe<Settings[]>(ASKED)
    t.throws(() => checkSettings(found), {
      name: 'DatabaseUnfit',
      message: new RegExp(`: alter role postgres set ${setting} = [^;]*\\.$`),
    })
  }
})

void test(
  'tables are in the schema public, whatever the name or search_path of the role',
  needsPostgres,
  async (t) => {
    for (const [role, ...statements] of [
      ['named', 'create schema named authorization named'],
      ['drizzle', 'create schema drizzle authorization drizzle'],
      [
        'searching',
        'create schema first authorization searching',
        'alter role searching set search_path = first',
      ],
    ] as const) {
      const { url, sql } = await setUp(t, () => [...statements], role)
      const running = await start(t, {
        folder: temporaryFolder(t),
        env: { SECRET_KEY, DATABASE_URL: url },
      })
      running.child.kill('SIGTERM')
      t.equal(await running.exited, 0)
      const schemas = await sql`select distinct schemaname from pg_tables
        where schemaname not in ('pg_catalog', 'information_schema') and tablename <> '__drizzle_migrations'`
      t.same([...schemas], [{ schemaname: 'public' }], role)
    }
  },
)

void test('a read-only database is reported at the start', needsPostgres, async (t) => {
  const { url } = await setUp(t, (database) => [
    `alter database ${database} set default_transaction_read_only = on`,
  ])
  const running = await launch(t, { folder: temporaryFolder(t), env: { SECRET_KEY, DATABASE_URL: url } })
  await running.printed('The database takes no writes')
  t.notOk(running.output().includes('is ready.'))
})

void test('an encoding or locale that breaks addresses fails the start', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const admin = postgres(server, { max: 1, onnotice: () => undefined })
  t.teardown(() => admin.end())
  for (const [how, line] of [
    ["encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'", /^The encoding of database spoiled is LATIN1: .*$/m],
    ["encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'", /^The encoding of database spoiled is SQL_ASCII/m],
    ["locale_provider icu icu_locale 'tr'", /^In the locale of database spoiled "I" is no capital of "i"/m],
    ["locale_provider icu icu_locale 'az'", /^In the locale of database spoiled/m],
  ] as const) {
    await admin.unsafe(`create database spoiled template template0 ${how}`)
    const url = Object.assign(new URL(server), { pathname: '/spoiled' }).href
    for (const script of ['server.ts', 'scripts/doctor.ts']) {
      const running = await launch(t, {
        folder: temporaryFolder(t),
        env: { SECRET_KEY, DATABASE_URL: url },
        script,
      })
      t.equal(await running.exited, 1, how)
      const told = script === 'server.ts' ? line : new RegExp(line.source.replace('^', '^✗ database +'), 'm')
      t.match(running.output(), told, how)
    }
    await dropDatabase(server, url)
  }
})
