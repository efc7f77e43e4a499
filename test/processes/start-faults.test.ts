import { EventEmitter, once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import postgres from 'postgres'
import { test } from 'tap'
import { needsPostgres } from '../support/database.ts'
import { databaseEnv, launch, temporaryFolder } from '../support/process.ts'

const production = {
  ENVIRONMENT: 'production',
  HOST: '127.0.0.1',
  SECRET_KEY: 'Zm9yIHRlc3RzIG9ubHkgYW5kIGxvbmcgZW5vdWdo',
  FIRST_SUPERUSER_PASSWORD: 'not for anything real',
  LOG_LEVEL: 'fatal',
}

void test('a start that fails because of a setting or a file prints one line', async (t) => {
  const faults: [words: string | RegExp, env: Record<string, string>, prepare?: (folder: string) => void][] =
    [
      [
        'HOST no-such-host.invalid is no address of this machine.',
        { ENVIRONMENT: 'local', HOST: 'no-such-host.invalid' },
      ],
      ['HOST 192.0.2.1 is no address of this machine.', { ENVIRONMENT: 'local', HOST: '192.0.2.1' }],
      [
        'METRICS_HOST 192.0.2.1 is no address of this machine.',
        { METRICS_HOST: '192.0.2.1', METRICS_PORT: '19090' },
      ],
      [/^A file can't be used: .*data/, {}, (folder) => writeFileSync(join(folder, 'data'), 'no folder')],
      [
        /^The embedded database in .*data\/database can't be opened .* move the folder away/,
        {},
        (folder) => {
          mkdirSync(join(folder, 'data/database'), { recursive: true })
          writeFileSync(join(folder, 'data/database/PG_VERSION'), '9\n')
        },
      ],
    ]
  for (const [words, env, prepare] of faults) {
    const folder = temporaryFolder(t)
    prepare?.(folder)
    const running = await launch(t, { folder, env: { LOG_LEVEL: 'fatal', ...env } })
    t.equal(await running.exited, 1, JSON.stringify(env))
    t.match(running.output(), words)
    t.equal(running.output().trim().split('\n').length, 1, running.output())
  }
})

void test('a start that PostgreSQL refuses prints its error and no stack', needsPostgres, async (t) => {
  const { MIGRATION_DATABASE_URL: url = '' } = await databaseEnv(t)
  const faults: [words: RegExp, url: string, env?: Record<string, string>][] = [
    [/3D000.*database "nowhere" does not exist/, url.replace(/[^/]*$/, 'nowhere')],
    [/28000.*role "nobody" does not exist/, url.replace('postgres@', 'nobody@')],
    [
      /FIRST_SUPERUSER_PASSWORD: needed, as there is no active superuser yet/,
      url,
      { FIRST_SUPERUSER_PASSWORD: '' },
    ],
  ]
  for (const [words, DATABASE_URL, env] of faults) {
    const running = await launch(t, {
      folder: temporaryFolder(t),
      env: { ...production, DATABASE_URL, ...env },
    })
    t.equal(await running.exited, 1, String(words))
    t.match(running.output(), words)
    t.notMatch(running.output(), /^\s+at /m, 'no stack')
    t.ok(running.output().trim().split('\n').length <= 2, running.output())
  }
})

void test(
  'a failed migration prints one line with its name and the error of PostgreSQL',
  needsPostgres,
  async (t) => {
    const { MIGRATION_DATABASE_URL: url = '' } = await databaseEnv(t)
    const sql = postgres(url, { max: 1 })
    await sql`create table users (id integer)`
    await sql.end()
    for (const script of ['server.ts', 'scripts/migrate.ts']) {
      const running = await launch(t, {
        folder: temporaryFolder(t),
        env: { ...production, DATABASE_URL: url },
        script,
      })
      t.equal(await running.exited, 1, script)
      t.equal(
        running.output().trim(),
        'Migration 0000_initial failed (42P07), "relation "users" already exists": nothing of it was kept.',
        script,
      )
    }
  },
)

void test('a database without the TLS that sslmode asks for is logged once over many attempts', async (t) => {
  const tries = new EventEmitter()
  // Like PostgreSQL without TLS: answers N, and hangs up on a client that goes on.
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write('N')
      socket.once('data', () => socket.end())
      tries.emit('try')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const DATABASE_URL = `postgres://u:p@127.0.0.1:${port}/db?sslmode=require`
  const env = { ...production, LOG_LEVEL: 'warn', DATABASE_URL }
  const migration = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/migrate.ts' })
  t.equal(await migration.exited, 1)
  t.match(migration.output(), /^The database answers with no TLS .*sslmode: [^\n]*\n$/)

  const running = await launch(t, { folder: temporaryFolder(t), env })
  for (let count = 0; count < 4; count += 1) await once(tries, 'try')
  await running.printed('The database answers with no TLS')
  t.equal(running.output().match(/answers with no TLS/g)?.length, 1, running.output())
})

void test('a start with RATE_LIMIT_ENABLED=false logs a warning', needsPostgres, async (t) => {
  const env = { ...production, ...(await databaseEnv(t)), LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false' }
  const running = await launch(t, { folder: temporaryFolder(t), env })
  await running.printed('RATE_LIMIT_ENABLED: false lets anybody try passwords without end')
})
