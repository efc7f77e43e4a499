import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { cheapHashing } from './support/cheap-hashing.ts'
import { collectingLogger } from './support/log-lines.ts'
import { reply, startMailServer } from './support/mail-server.ts'
import { ask, noDatabase, startWithoutData } from './support/no-database.ts'
import { startSentry } from './support/sentry.ts'
import { type Service, startService } from './support/service.ts'

const FIRST_SUPERUSER = 'root-of-all@example.com'
const FIRST_SUPERUSER_PASSWORD = 'superuser-password'
const ada = { email: 'Ada.Lovelace+notes@example.org', password: 'adas-first-password', full_name: 'Ada' }
const passwords = { wrong: 'wrong-password-tried', next: 'adas-second-password', short: 'shrt-pw' }

/** Typical requests, valid and invalid; returns the secrets that came up. */
async function run({ admin, call, rows, signIn, resetToken }: Service): Promise<string[]> {
  await call('POST', '/users/', { as: admin, body: ada })
  await call('POST', '/users/', { as: admin, body: ada })
  await call('POST', '/users/signup', { body: { ...ada, email: 'grace@example.net' } })
  await call('POST', '/users/signup', { body: { ...ada, password: passwords.short, email: `${ada.email}@` } })
  const { body: tokens } = await signIn(ada.email, ada.password)
  await signIn(ada.email, passwords.wrong)
  await signIn('nobody@example.org', passwords.wrong)
  const bearer = { headers: { authorization: `Bearer ${tokens.access_token}` } }
  await call('GET', '/users/me', bearer)
  await call('GET', '/users/me', { headers: { authorization: `Bearer ${tokens.access_token}x` } })
  await call('POST', `/password-recovery/${ada.email}`)
  await call('POST', `/password-recovery/${encodeURIComponent(ada.email)}`)
  const reset = await resetToken(ada.email)
  await call('POST', '/reset-password/', { body: { token: reset, new_password: passwords.next } })
  await call('POST', '/reset-password/', { body: { token: reset, new_password: passwords.next } })
  for (const method of ['GET', 'OPTIONS', 'DELETE'] as const)
    for (const path of [
      `/nothing/${ada.email}/x?token=${reset}`,
      `/nothing/${encodeURIComponent(ada.email)}?token=${reset}`,
      `/password-recovery/${ada.email}?token=${reset}`,
      `/password-recovery/${ada.email}%zz?token=${reset}`,
      `/users/me?email=${ada.email}&token=${reset}`,
    ])
      await call(method, path)
  await call('POST', '/reset-password/', {
    body: `{"token":"${reset}",`,
    headers: { 'content-type': 'application/json' },
  })

  // A constraint and a trigger refuse rows, with errors that quote them.
  await rows(sql`alter table users add constraint no_eve check (full_name is distinct from 'Eve')`)
  await rows(
    sql.raw(`
    create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'no room for % with %', new.email, new.hashed_password; end $$`),
  )
  await rows(sql`
    create trigger refuse before insert on users for each row when (new.full_name = 'Mallory') execute function refuse()`)
  for (const full_name of ['Eve', 'Mallory']) {
    const body = { ...ada, email: 'eve@example.org', full_name }
    const headers = { 'x-request-id': `fault-of-${full_name}` }
    await call('POST', '/users/', { as: admin, body, headers })
  }
  const hashes = await rows<{ hashed_password: string }>(sql`select hashed_password from users`)
  const told = [FIRST_SUPERUSER, FIRST_SUPERUSER_PASSWORD, ada.password, ...Object.values(passwords)]
  const addresses = [
    ada.email,
    encodeURIComponent(ada.email),
    'Lovelace',
    'nobody@',
    'eve@',
    '@example',
    '%40example',
  ]
  const issued = [admin.token, tokens.access_token, tokens.refresh_token, reset, reset.split('.')[1] ?? reset]
  const stored = hashes.map(({ hashed_password }) => hashed_password)
  return [...told, ...addresses, ...issued, ...stored, '$argon2', '/reset-password?token', 'token=']
}

void test('fault 21: typical requests leave no secret and no address in logs or Sentry', async (t) => {
  const server = await startMailServer(t)
  server.answer = (step, address) => (step === 'to' ? reply(550, `<${address}> is unknown here`) : undefined)
  const { dsn, envelopes } = await startSentry(t)
  const { logger, lines, told } = await collectingLogger()
  const env = {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FRONTEND_HOST: 'https://app.example.com',
    SENTRY_DSN: dsn,
    FIRST_SUPERUSER,
    FIRST_SUPERUSER_PASSWORD,
    ...server.env,
  }
  const service = await startService(t, { ...env, TRUST_PROXY: '127.0.0.1' }, { logger })
  cheapHashing(service)
  const secrets = await run(service)
  await told(/mail parked/, 2)
  await service.close()

  await t.test('log lines name the route of a request, and no secret or address', async (t) => {
    t.ok(lines.length > 30)
    for (const line of lines) {
      const found = secrets.filter((secret) => line.includes(secret))
      t.same(found, [], `in ${line.slice(0, 300)}`)
    }
    const all = lines.map(
      (line) => JSON.parse(line) as { msg: string; reqId?: string; req?: { path: string } },
    )
    for (const path of ['/api/v1/password-recovery/:email', '/api/v1/users/me', '/api/v1/login/access-token'])
      t.ok(
        all.some(({ req }) => req?.path === path),
        path,
      )
    const fault = all.find(({ msg, reqId }) => msg === 'request failed' && reqId === 'fault-of-Eve')
    t.match(fault, {
      level: 50,
      route: '/api/v1/users/',
      err: { code: '23514', constraint: 'no_eve', stack: /at / },
    })
  })

  await t.test('Sentry gets internal errors with their route, and nothing else', async (t) => {
    t.equal(envelopes.length, 2, 'both faults, and no wrong password')
    for (const [index, name] of ['Eve', 'Mallory'].entries()) {
      const [, , event = '{}'] = envelopes[index]?.split('\n') ?? []
      t.match(JSON.parse(event), {
        environment: 'staging',
        tags: { request_id: `fault-of-${name}`, route: '/api/v1/users/', method: 'POST' },
        exception: { values: [{ type: 'DatabaseError', stacktrace: { frames: Array } }] },
      })
      const found = secrets.filter((secret) => envelopes[index]?.includes(secret))
      t.same(found, [])
      t.notMatch(
        envelopes[index],
        /"(request|user|breadcrumbs|extra)":\{?[^,]*(ip_address|headers|cookies|data)/,
      )
    }
  })
})

void test('in local, typical requests leave no secret and no address in the log', async (t) => {
  const server = await startMailServer(t)
  const { logger, lines } = await collectingLogger('local')
  const env = { FIRST_SUPERUSER, FIRST_SUPERUSER_PASSWORD, ...server.env, FRONTEND_HOST: 'https://app.here' }
  const service = await startService(t, env, { logger })
  cheapHashing(service)
  const secrets = await run(service)
  await service.close()
  for (const line of lines)
    t.same(
      secrets.filter((secret) => line.includes(secret)),
      [],
      `in ${line.slice(0, 300)}`,
    )
  const faults = lines.filter((line) => line.includes('request failed'))
  t.match(faults.join(), 'violates check constraint')
  t.match(faults.join(), 'no room for [')
})

void test('in local nothing is sent to Sentry', async (t) => {
  const { dsn, envelopes } = await startSentry(t)
  let fault: Error | undefined
  const app = await startWithoutData(
    t,
    { SENTRY_DSN: dsn },
    noDatabase(() => fault),
  )
  fault = new Error('out of order')
  t.equal((await ask(app, { method: 'POST', url: '/api/v1/password-recovery/ada@example.com' })).status, 500)
  await app.close()
  t.same(envelopes, [])
})

void test('fault 21: a secret that is logged under its name is redacted at any depth', async (t) => {
  const { logger, lines } = await collectingLogger()
  const secrets = { password: 'a-secret', refresh_token: 'a-secret', email: 'a-secret' }
  const bare = Object.assign(Object.create(null) as object, secrets) // as queries and parameters are
  const circle: Record<string, unknown> = { ...secrets }
  circle.self = circle
  logger.info({ ...secrets, kept: 1, deeper: { ...secrets, kept: 2, yet: { deeper: secrets } } }, 'careless')
  logger.info(
    { list: [1, [secrets]], query: bare, headers: { authorization: 'Bearer a-secret' } },
    'careless',
  )
  logger.info({ circle }, 'careless')
  for (const line of lines) t.notMatch(line, /a-secret/)
  const [first = '', second = '', third] = lines
  const masked = { password: '[redacted]', refresh_token: '[redacted]', email: '[redacted]' }
  t.match(JSON.parse(first), { ...masked, kept: 1, deeper: { ...masked, kept: 2, yet: { deeper: masked } } })
  t.match(JSON.parse(second), { list: [1, [masked]], query: masked })
  t.match(third, 'too deep', 'what goes around in a circle comes to an end')
})
