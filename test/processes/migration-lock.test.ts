import postgres from 'postgres'
import { type Test, test } from 'tap'
import { MIGRATION_LOCK } from '../../src/database/migrate/migration-lock.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { needsPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { launch, start, temporaryFolder } from '../support/process.ts'
import { until } from '../support/until.ts'

const SECRET_KEY = 'only for tests, and long enough for that'

async function emptyDatabase(t: Test) {
  const server = process.env.TEST_DATABASE_URL!
  const direct = await createDatabase(server)
  const sql = postgres(direct, { max: 1, onnotice: () => undefined })
  t.teardown(async () => {
    await sql.end({ timeout: 1 })
    await dropDatabase(server, direct)
  })
  return { direct, sql }
}

void test(
  'a start through a pooler without MIGRATION_DATABASE_URL fails and leaves no lock behind',
  needsPgbouncer,
  async (t) => {
    const { direct, sql } = await emptyDatabase(t)
    const pooler = await startPgbouncer(process.env.TEST_DATABASE_URL!)
    t.teardown(() => pooler.stop())
    const throughPooler = Object.assign(new URL(direct), { host: new URL(pooler.url).host }).href
    const wrong = await launch(t, {
      folder: temporaryFolder(t),
      env: { SECRET_KEY, DATABASE_URL: throughPooler },
    })
    t.equal(await wrong.exited, 1)
    t.match(wrong.output(), /^DATABASE_URL leads to a pooler: set MIGRATION_DATABASE_URL/m)
    const locks = await sql`select from pg_locks where locktype = 'advisory'
      and database = (select oid from pg_database where datname = current_database())`
    t.equal(locks.length, 0, 'it left no lock behind')

    const env = { SECRET_KEY, DATABASE_URL: throughPooler, MIGRATION_DATABASE_URL: direct }
    await start(t, { folder: temporaryFolder(t), env })
    await start(t, { folder: temporaryFolder(t), env: { SECRET_KEY, DATABASE_URL: direct } })
  },
)

void test('a start and the doctor name the holder of the migration lock', needsPostgres, async (t) => {
  const { direct, sql } = await emptyDatabase(t)
  const env = { SECRET_KEY, DATABASE_URL: direct }
  await sql`select pg_advisory_lock(${MIGRATION_LOCK})` // a session's lock, as earlier versions took it
  const [own] = await sql`select pg_backend_pid() as pid`
  const line = new RegExp(
    `holds the lock of migrations: postgres.js of role postgres from 127.0.0.1.*pg_terminate_backend\\(${own!.pid}\\)`,
  )
  const waiting = await launch(t, { folder: temporaryFolder(t), env })
  await waiting.printed('pg_terminate_backend')
  t.match(waiting.output(), line)
  await until(async () => (await fetch(`${waiting.url}/health/live`).catch(() => undefined))?.ok ?? false)
  t.equal((await fetch(`${waiting.url}/health/ready`)).status, 503)

  const doctor = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/doctor.ts' })
  t.equal(await doctor.exited, 1)
  t.match(doctor.output(), line)
  t.match(doctor.output(), /^✗ migrations/m)

  await sql`select pg_advisory_unlock(${MIGRATION_LOCK})`
  await until(async () => (await fetch(`${waiting.url}/health/ready`)).ok)
  await sql`select pg_advisory_lock(${MIGRATION_LOCK})`
  await start(t, { folder: temporaryFolder(t), env })
  t.pass('where nothing is to be migrated, nobody waits for the lock')
})

void test('with MIGRATE_ON_START=false a start waits for npm run db:migrate', needsPostgres, async (t) => {
  const { direct, sql } = await emptyDatabase(t)
  const env = { SECRET_KEY, DATABASE_URL: direct, MIGRATE_ON_START: 'false' }
  const waiting = await launch(t, { folder: temporaryFolder(t), env })
  await waiting.printed('run npm run db:migrate')
  await until(async () => (await fetch(`${waiting.url}/health/live`).catch(() => undefined))?.ok ?? false)
  t.equal((await fetch(`${waiting.url}/health/ready`)).status, 503)
  const [made] = await sql`select to_regclass('users') as users`
  t.equal(made!.users, null, 'it made nothing')

  const migrating = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/migrate.ts' })
  t.equal(await migrating.exited, 0)
  await until(async () => (await fetch(`${waiting.url}/health/ready`)).ok)
})
