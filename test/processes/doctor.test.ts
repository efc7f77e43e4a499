import postgres from 'postgres'
import { type Test, test } from 'tap'
import { keyring } from '../../src/config/secrets/keys.ts'
import { secrets } from '../../src/config/secrets/secrets.ts'
import { readConfig } from '../../src/config/config.ts'
import { databaseFindings } from '../../src/doctor/database.ts'
import type { Finding } from '../../src/doctor/findings.ts'
import { key, cert } from '../support/certificate.ts'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { production } from '../support/environments.ts'
import { databaseEnv, launch, signIn, start, temporaryFolder } from '../support/process.ts'
import { startMailServer } from '../support/mail-server.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { needsPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'

/** Output and exit code of the doctor in an environment. */
async function examine(t: Test, env: Record<string, string>, args: string[] = []) {
  const running = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/doctor.ts', args })
  const code = await running.exited
  return { code, lines: running.output() }
}

for (const [query, mark, fix] of [
  ['', '!', 'sslmode=verify-full in DATABASE_URL'],
  ['?sslmode=prefer', '!', 'sslmode=verify-full in DATABASE_URL'],
  ['?sslmode=require', '!', 'sslmode=verify-full in DATABASE_URL'],
  ['?sslmode=verify-ca', '!', 'sslmode=verify-full in DATABASE_URL'],
  ['?sslmode=verify-full', '✓', undefined],
] as const)
  void test(`the doctor marks a remote database with ${query || 'no sslmode'} as ${mark}`, async (t) => {
    const DATABASE_URL = `postgresql://app:secret@db.example.com/app${query}`
    // The first finding comes before the server is asked, which does not exist.
    const { value } = await databaseFindings(readConfig({ ...production, DATABASE_URL }), []).next()
    t.match(value, { about: 'tls', mark })
    t.equal((value as Finding).fix, fix)
  })

void test('the doctor finds nothing in the way where nothing is set', async (t) => {
  const { code, lines } = await examine(t, {})
  t.equal(code, 0, lines)
  t.match(lines, /✓ secret +made at the first start/)
  t.match(lines, 'Nothing is in the way.')
})

void test('the doctor prints a line with a fix for each faulty setting, and no secret', async (t) => {
  const server = await startMailServer(t, {
    authOptional: false,
    disabledCommands: [],
    key,
    cert,
    onAuth: (_auth, _session, done) => done(new Error('no')),
  })
  const { code, lines } = await examine(t, {
    ENVIRONMENT: 'production',
    SECRET_KEY: 'a'.repeat(40),
    FIRST_SUPERUSER_PASSWORD: 'changethis',
    TRUST_PROXY: '0.0.0.0/0',
    BACKEND_CORS_ORIGINS: 'http://app.example.com',
    DATABASE_URL: 'postgres://groundwork:hidden-password@127.0.0.1:1/groundwork',
    SMTP_HOST: 'localhost',
    SMTP_PORT: String(server.port),
    SMTP_USER: 'me',
    SMTP_PASSWORD: 'hidden-password',
    EMAILS_FROM_EMAIL: 'a@example.com',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  })
  t.equal(code, 1)
  for (const line of [
    /^✗ environment FIRST_SUPERUSER_PASSWORD: "changethis" is known/m,
    /^✗ environment FRONTEND_HOST or PUBLIC_URL: one is needed/m,
    /^✗ environment SECRET_KEY: it repeats itself .*openssl rand/m,
    /^! environment BACKEND_CORS_ORIGINS: http:\/\/app\.example\.com is plain HTTP/m,
    /^✗ environment TRUST_PROXY: trusts everybody/m,
    /^✗ database +The database can't be used \(ECONNREFUSED\)/m,
    /^✗ mail +localhost:\d+ by STARTTLS: .*: see SMTP_USER and SMTP_PASSWORD$/m,
    /^In the way: \d$/m,
  ])
    t.match(lines, line)
  t.notMatch(lines, 'hidden-password')
  t.notMatch(lines, 'aaaa')
})

void test('the doctor refuses the embedded database for production', async (t) => {
  const { code, lines } = await examine(t, { ENVIRONMENT: 'production' })
  t.equal(code, 1)
  t.match(lines, /^✗ database +embedded, which is for local alone: set DATABASE_URL$/m)
})

void test('the doctor reports a mail server without STARTTLS, and one that does not answer', async (t) => {
  const plain = await startMailServer(t)
  const without = await examine(t, { ...plain.env, SMTP_TLS: 'true' })
  t.match(without.lines, /^✗ mail .*STARTTLS.*SMTP_TLS=false for none$/m)
  t.match(await examine(t, plain.env), { code: 0, lines: /^✓ mail +127\.0\.0\.1:\d+ by plain text$/m })
  t.match(await examine(t, { ...plain.env, SMTP_PORT: '1' }), { code: 1, lines: /^✗ mail .*see SMTP_HOST/m })
})

void test('the doctor reports pending migrations and checks a live instance', needsPostgres, async (t) => {
  const env: Record<string, string> = {
    ...(await databaseEnv(t)),
    SECRET_KEY: 'Zm9yIHRlc3RzIG9ubHkgYW5kIGxvbmcgZW5vdWdo',
  }
  const before = await examine(t, env)
  t.equal(before.code, 0, before.lines)
  t.match(before.lines, /^✓ database +PostgreSQL \d/m)
  t.match(before.lines, /^! migrations +pending: 0000_initial/m)
  t.match(before.lines, /^✓ clock +0\.\d s/m)

  const running = await start(t, { folder: temporaryFolder(t), env })
  const after = await examine(t, env, ['--url', running.url])
  t.equal(after.code, 0, after.lines)
  t.match(after.lines, /^✓ migrations +all \d+ are applied/m)
  t.match(after.lines, /^✓ instance +is ready/m)
  t.match(after.lines, /^✓ address +this client is seen as 127\.0\.0\.1/m)

  await t.test('the doctor reports a missing search index, with statements that create it', async (t) => {
    t.match(after.lines, /^✓ search +is indexed/m)
    const sql = postgres(env.DATABASE_URL!, { max: 1, onnotice: () => undefined })
    t.teardown(() => sql.end())
    await sql`drop extension pg_trgm cascade`
    const { code, lines } = await examine(t, env)
    t.equal(code, 0, 'the service works')
    const [, statements] = /^! search +is not indexed, and reads all rows: (.*)$/m.exec(lines) ?? []
    await sql.unsafe(statements!)
    t.match((await examine(t, env)).lines, /^✓ search +is indexed/m)
  })

  await t.test('the doctor finds a TRUST_PROXY that lets clients choose their address', async (t) => {
    const trusting = await start(t, { folder: temporaryFolder(t), env: { ...env, TRUST_PROXY: '127.0.0.1' } })
    const { code, lines } = await examine(t, env, ['--url', trusting.url])
    t.equal(code, 1)
    t.match(lines, /^✗ address +a client chooses the address/m)
  })

  await t.test('the doctor names privileges that a role lacks, with the grant for each', async (t) => {
    const sql = postgres(env.DATABASE_URL!, { max: 1, onnotice: () => undefined })
    await sql`create role doctored login`
    t.teardown(async () => {
      await sql`drop role doctored`
      await sql.end()
    })
    const url = new URL(env.MIGRATION_DATABASE_URL!) // a pooler may sign in as somebody else
    url.username = 'doctored'
    const { code, lines } = await examine(t, {
      ...env,
      DATABASE_URL: url.href,
      MIGRATION_DATABASE_URL: url.href,
    })
    t.equal(code, 1)
    t.match(
      lines,
      /^✗ privileges +doctored may create no tables: grant create on schema public to doctored$/m,
    )
    t.match(lines, /^✗ privileges +doctored may not use .*users.*: grant all on all tables/m)
  })

  t.match(await examine(t, env, ['--url', 'http://127.0.0.1:1']), {
    code: 1,
    lines: /^✗ instance +http:\/\/127\.0\.0\.1:1 does not answer \(\w+\)/m,
  })
})

void test(
  'the grants that the doctor prints are all that the role of the service needs',
  needsPostgres,
  async (t) => {
    const server = process.env.TEST_DATABASE_URL!
    const owner = await createDatabase(server)
    const sql = postgres(owner, { max: 1, onnotice: () => undefined })
    await sql`create role "service role" login`
    t.teardown(async () => {
      await sql`drop owned by "service role"`
      await sql`drop role "service role"`
      await sql.end()
      await dropDatabase(server, owner)
    })
    const env = {
      SECRET_KEY: 'Zm9yIHRlc3RzIG9ubHkgYW5kIGxvbmcgZW5vdWdo',
      DATABASE_URL: Object.assign(new URL(owner), { username: 'service%20role' }).href,
      MIGRATION_DATABASE_URL: owner,
    }
    const migrated = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/migrate.ts' })
    t.equal(await migrated.exited, 0, migrated.output())
    await sql`create sequence numbers`
    await sql`revoke all on schema public from public`
    await sql`grant select, insert on users to "service role"`

    const before = await examine(t, env)
    t.equal(before.code, 1)
    const grants = [...before.lines.matchAll(/^✗ privileges .*: (grant .*)$/gm)].map(
      ([, grant = '']) => grant,
    )
    t.match(
      before.lines,
      /^✗ privileges +"service role" may not use the schema public: grant usage on schema public/m,
    )
    t.match(
      before.lines,
      /lacks select, insert, update, delete on .*\bemails\b.*: grant select, insert, update, delete on/,
    )
    t.match(before.lines, /lacks update, delete on users: grant update, delete on users to "service role"$/m)
    t.match(
      before.lines,
      /lacks usage on sequence address_changes_number_seq, numbers, row_counts_id_seq: grant usage on sequence address_changes_number_seq, numbers, row_counts_id_seq to/,
    )
    for (const grant of grants) await sql.unsafe(grant)

    const after = await examine(t, env)
    t.equal(after.code, 0, after.lines)
    t.match(after.lines, /^✓ privileges +"service role" may use the tables$/m)
    const running = await start(t, { folder: temporaryFolder(t), env })
    const headers = await signIn(running)
    const url = `${running.url}/api/v1/utils/test-email/?email_to=ada@example.com`
    const { status } = await fetch(url, { method: 'POST', headers })
    t.equal(status, 201, 'it was all that it needs')
  },
)

void test(
  'the doctor reports a pooler that keeps no prepared statements, and no other',
  needsPgbouncer,
  async (t) => {
    const { MIGRATION_DATABASE_URL: direct = '' } = await databaseEnv(t)
    for (const [settings, code] of [
      [{ max_prepared_statements: '0' }, 1],
      [{ max_prepared_statements: '0', server_round_robin: '1', min_pool_size: '4' }, 1],
      [{ max_prepared_statements: '0', pool_mode: 'session' }, 0],
      [{}, 0],
      [{ default_pool_size: '1' }, 0],
    ] as [Record<string, string>, number][]) {
      const pooler = await startPgbouncer(process.env.TEST_DATABASE_URL!, settings)
      const url = Object.assign(new URL(direct), { host: new URL(pooler.url).host }).href
      const { lines, ...ended } = await examine(t, { DATABASE_URL: url, MIGRATION_DATABASE_URL: direct })
      t.equal(ended.code, code, `${JSON.stringify(settings)}: ${lines}`)
      t.equal(
        /^✗ pooler +keeps no prepared statements.*max_prepared_statements = 200/m.test(lines),
        code === 1,
      )
      await pooler.stop()
    }
  },
)

void test(
  'the doctor counts second factors that this SECRET_KEY can not read, and superusers without one',
  needsPostgres,
  async (t) => {
    const SECRET_KEY = 'one secret key of this test, long enough'
    const env: Record<string, string> = { ...(await databaseEnv(t)), SECRET_KEY }
    await start(t, { folder: temporaryFolder(t), env })
    const sql = postgres(env.DATABASE_URL!, { max: 1 })
    t.teardown(() => sql.end())
    const doctor = async (more = {}) => (await examine(t, { ...env, ...more })).lines
    t.notMatch(await doctor(), /factors/, 'nobody asked for one')
    t.match(
      await doctor({ SECOND_FACTOR: 'superusers' }),
      /! factors +1 of 1 superusers have no second factor/,
    )
    const sealed = secrets(keyring({ SECRET_KEY }), 'factor').seal('JBSWY3DPEHPK3PXP', 'x')
    await sql`
      insert into factors (user_id, kind, secret, verified_at)
      select id, 'totp', ${sealed}, now() from users`
    t.match(
      await doctor({ SECOND_FACTOR: 'superusers' }),
      /✓ factors +every superuser has a second factor or a passkey/,
    )
    const other = await doctor({ SECRET_KEY: 'another secret key, as long as the first' })
    t.match(other, /✗ factors +1 second factors were made with another SECRET_KEY/)
  },
)

void test('the doctor asks identity providers, and says what has to be entered there', async (t) => {
  const provider = await startIdentityProvider(t)
  const there = await examine(t, provider.env)
  t.equal(there.code, 0, there.lines)
  t.match(
    there.lines,
    /✓ acme +http:\/\/127\.0\.0\.1:\d+ answers; it must know http:\/\/localhost:\d+\/api\/v1\/login\/oidc\/acme\/callback/,
  )
  t.notMatch(there.lines, provider.env.OIDC_ACME_CLIENT_SECRET!)
  await provider.close()
  const away = await examine(t, provider.env)
  t.equal(away.code, 1, away.lines)
  t.match(away.lines, /✗ acme .*is no answering identity provider \(ECONNREFUSED\).*see OIDC_ACME_ISSUER/s)
})

void test(
  'the doctor counts what depends on SECRET_KEY_PREVIOUS, and says when it can go',
  needsPostgres,
  async (t) => {
    const A = 'the secret key before the change, of this test'
    const B = 'the secret key after the change, of the same'
    const env: Record<string, string> = { ...(await databaseEnv(t)) }
    const running = await start(t, { folder: temporaryFolder(t), env: { ...env, SECRET_KEY: A } })
    await signIn(running)
    running.child.kill('SIGTERM') // or it writes down every minute that it uses the key
    await running.exited
    const sql = postgres(env.MIGRATION_DATABASE_URL!, { max: 1 })
    t.teardown(() => sql.end())
    const keys = { SECRET_KEY: B, SECRET_KEY_PREVIOUS: A }
    /** What it says of keys. */
    const doctor = async (settings: Record<string, string> = keys) => {
      const { code, lines } = await examine(t, { ...env, ...settings })
      t.equal(code, 0, "it stands in nobody's way")
      t.notMatch(lines, A)
      t.notMatch(lines, B)
      return lines.split('\n').filter((line) => line.includes(' keys '))
    }
    t.strictSame(await doctor({ SECRET_KEY: A }), [])
    t.match(await doctor({ SECRET_KEY: A, SECRET_KEY_PREVIOUS: B }), [/✓ keys +nothing was made with/])
    t.match(await doctor(), [/✓ keys +SECRET_KEY_PREVIOUS was SECRET_KEY of a process within the last 5 min/])

    const previous = keyring({ SECRET_KEY: A })
    const sealed = secrets(previous, 'factor').seal('JBSWY3DPEHPK3PXP', 'x')
    await sql`insert into factors (user_id, kind, secret, verified_at) select id, 'totp', ${sealed}, now() from users`
    await sql`
      insert into one_time_tokens (user_id, purpose, email, created_at, expires_at)
      select id, 'verify_email', email, now() - interval '1 day', now() + interval '1 day' from users`
    // As if all of that was a day ago.
    await sql`update signing_keys set last_used_at = now() - interval '20 hours' where id = ${previous.current.id}`
    await sql`update sessions set created_at = now() - interval '1 day', last_used_at = now() - interval '1 day'`
    await sql`update known_networks set signed_in_at = now() - interval '1 day'`
    t.match(await doctor(), [
      /✓ keys +SECRET_KEY_PREVIOUS is needed: 1 sessions, 1 links and 1 second factors .*tokens until 20\d\d-/,
    ])

    await sql`update sessions set refreshed_at = now(), generation = 1, seen_generation = 0`
    t.match(await doctor(), [/needed: 1 sessions/], 'the answer to the refresh may be lost')
    await sql`update sessions set seen_generation = 1`
    t.match(await doctor(), [/needed: 0 sessions, 1 links and 1 second factors/])
    await sql`delete from one_time_tokens`
    t.match(await doctor(), [/needed: 0 sessions, 0 links and 1 second factors depend on it$/])
    await sql`delete from factors`
    t.match(await doctor(), [
      /! keys +no token and no second factor depends on SECRET_KEY_PREVIOUS; 1 known networks .*: it can go$/,
    ])
    await sql`delete from known_networks`
    t.match(await doctor(), [
      /! keys +no token and no second factor depends on SECRET_KEY_PREVIOUS: it can go$/,
    ])
    await sql`insert into one_time_tokens (user_id, purpose, email, expires_at) select id, 'verify_email', email, now() + interval '1 day' from users`
    t.match(await doctor(), [/it can go$/], 'what was made since does not depend on it')
  },
)
