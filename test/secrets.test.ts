import { execFileSync } from 'node:child_process'
import { hash as argon2 } from '@node-rs/argon2'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { credential } from './support/authenticator.ts'
import { documentOf, operationsOf } from './support/document.ts'
import { collectingLogger } from './support/log-lines.ts'
import { startMailServer } from './support/mail-server.ts'
import { startSentry } from './support/sentry.ts'
import { type Answer, type Person, type Service, startService } from './support/service.ts'
import { totpOf } from './support/totp.ts'

const FIRST_SUPERUSER = 'root-of-all@seeded.example'
const FIRST_SUPERUSER_PASSWORD = 'seeded-password-0'
const grace = 'Grace.Hopper+navy@seeded.example'
const eve = 'eve@seeded.example'
const ada = 'ada@seeded.example'
const moved = 'grace.murray@seeded.example'
const password = (number: number) => `seeded-password-${number}`

const addresses = [FIRST_SUPERUSER, grace, eve, ada, moved]

type Call = Service['call']

/** Requests that cause every security event and every kind of mail. */
async function live(
  call: Call,
  service: Service,
  token: (message: string, to: string) => Promise<string>,
  delivered: () => Promise<void>,
) {
  const { admin, rows } = service
  const signIn = async (username: string, number: number) => {
    const { body } = await call('POST', '/login/access-token', {
      form: { username, password: password(number) },
    })
    return { token: body.access_token, refresh_token: body.refresh_token } as Person & {
      refresh_token: string
    }
  }
  const post = (path: string, body: object, as?: Person) => call('POST', path, { body, as })

  const { body: user } = await post('/users/signup', { email: grace, password: password(1) })
  await signIn(grace, 1)
  await post('/verify-email/', { token: await token('verification', grace) })
  await post('/users/signup', { email: grace.toUpperCase(), password: password(2) })
  await signIn(grace, 3)
  await signIn('nobody@seeded.example', 3)
  await post('/users/signup', { email: eve, password: password(4) })
  await post('/users/signup', { email: eve, password: password(4) })
  await post('/verify-email/resend', { email: eve })
  const device = await signIn(grace, 1)
  await call('GET', '/users/me/sessions', { as: device })

  await call('POST', `/password-recovery/${grace}`)
  await post('/reset-password/', { token: await token('recovery', grace), new_password: password(5) })
  let phone = await signIn(grace, 5)
  const change = (current: number, next: number) =>
    call('PATCH', '/users/me/password', {
      as: phone,
      body: { current_password: password(current), new_password: password(next) },
    })
  await change(6, 7)
  await change(5, 7)

  const { body: second } = await post('/login/refresh-token', { refresh_token: phone.refresh_token })
  await post('/login/refresh-token', { refresh_token: second.refresh_token })
  await rows(sql`update sessions set refreshed_at = now() - interval '2 minutes'`)
  await post('/login/refresh-token', { refresh_token: phone.refresh_token })
  await post('/login/refresh-token', { refresh_token: second.refresh_token })

  phone = await signIn(grace, 7)
  await signIn(grace, 7)
  await call('PATCH', '/users/me', { as: phone, body: { email: grace.toUpperCase() } })
  await call('PATCH', '/users/me', { as: phone, body: { email: moved } })
  await post('/verify-email/', { token: await token('new_address', moved) })
  const { body: sessions } = await call('GET', '/users/me/sessions', { as: phone })
  await call('DELETE', `/users/me/sessions/${sessions.data[0].id}`, { as: phone })
  await call('DELETE', '/users/me/sessions', { as: phone })
  await post('/login/logout', {}, phone)

  const { body: made } = await post('/users/', { email: ada, password: password(8) }, admin)
  await post('/reset-password/', { token: await token('welcome', ada), new_password: password(9) })
  await call('PATCH', `/users/${made.id}`, { as: admin, body: { password: password(10) } })
  await post(`/password-recovery-html-content/${ada}`, {}, admin)
  await post(`/utils/test-email/?email_to=${ada}`, {}, admin)
  await factors(call, { email: ada, password: password(10) }, post)
  await call('PATCH', `/users/${made.id}`, { as: admin, body: { email: `other.${ada}` } })
  await delivered()
  await call('DELETE', `/users/${made.id}`, { as: admin })
  await post('/undo-email-change/', { token: await token('own_address_changed', grace.toUpperCase()) })
  await post('/reset-password/', {
    token: await token('address_restored', grace.toUpperCase()),
    new_password: password(11),
  })
  phone = await signIn(grace, 11)
  await call('DELETE', '/users/me', { as: phone })
  return { grace: user.id as string, ada: made.id as string, admin: admin.id }
}

/** Sets up a second factor, signs in with a recovery code, makes an API key, and adds, uses and removes a passkey. */
async function factors(
  call: Call,
  { email, password }: Pick<Person, 'email' | 'password'>,
  post: (path: string, body: object, as?: Person) => Promise<Answer>,
) {
  const signIn = (more: object = {}) =>
    call('POST', '/login/access-token', { form: { username: email, password, ...more } })
  const { body: first } = await signIn()
  const as = { token: first.access_token } as Person
  const { body: factor } = await post('/users/me/factors/totp', {}, as)
  const code = totpOf(factor.secret as string)
  const { body: given } = await post(`/users/me/factors/${factor.id}/verify`, { code }, as)
  await signIn({ code: given.recovery_codes[0] })
  await post('/users/me/api-keys', { name: 'A key', permissions: ['users:read'] }, as)

  const rp = { origin: 'https://app.seeded.example', rpId: 'app.seeded.example' }
  const { body: options } = await post('/users/me/passkeys/options', {}, as)
  const key = credential((options as { user: { id: string } }).user.id)
  const { body: passkey } = await post('/users/me/passkeys', key.create(options, rp), as)
  await post('/login/passkey', key.get((await post('/login/passkey/options', {})).body, rp))
  await post('/login/passkey', key.get({ challenge: 'none' }, rp))
  await call('DELETE', `/users/me/passkeys/${passkey.id}`, { as })
}

void test('fault 21: no secret is left in logs, error answers, Sentry or the database', async (t) => {
  const server = await startMailServer(t)
  const { dsn, envelopes } = await startSentry(t)
  const log = await collectingLogger()
  const env = {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FRONTEND_HOST: 'https://app.seeded.example',
    DOCS_ENABLED: 'true',
    EMAIL_VERIFICATION: 'required',
    RATE_LIMIT_ENABLED: 'false',
    SENTRY_DSN: dsn,
    FIRST_SUPERUSER,
    FIRST_SUPERUSER_PASSWORD,
    ...server.env,
  }
  const service = await startService(t, env, { logger: log.logger })
  const { app, rows, admin } = service
  // Real Argon2 hashes, as the database is searched for them, with cheap parameters.
  const quick = (password: string) => argon2(password, { memoryCost: 1024, timeCost: 1, parallelism: 1 })
  Object.assign(app.auth.passwords, { hash: quick, renew: quick })
  const secrets = new Set([FIRST_SUPERUSER_PASSWORD, admin.token])
  const refused: Answer[] = []

  /** Sends a request, and records the secrets in it and in its answer, and the answer if it is an error. */
  const call: Call = async (method, path, request = {}) => {
    const answer = await service.call(method, path, request)
    const named = { ...(request.body as object), ...request.form, ...answer.body } as Record<string, unknown>
    for (const [name, value] of Object.entries(named))
      if (/password|token$|^secret$|^key$|^otpauth_uri$/.test(name) && typeof value === 'string')
        secrets.add(value)
    for (const [, token] of answer.text.matchAll(/\?token=([\w.-]+)/g)) secrets.add(token!)
    for (const code of (answer.body?.recovery_codes ?? []) as string[]) secrets.add(code)
    if (answer.status >= 400) refused.push(answer)
    return answer
  }
  /** The token of the newest mail of a kind. */
  async function token(message: string, to: string) {
    const mails = sql`select id from emails where message = ${message} and recipient = ${to}`
    const ids = (await rows<{ id: string }>(mails)).map(({ id }) => id)
    const isIt = ({ messageId = '' }: { messageId?: string }) => ids.some((id) => messageId.includes(id))
    for (let count = 1; !server.mails.some(isIt); count++) await server.arrived(count)
    const found = /\?token=([\w.-]+)/.exec(server.mails.findLast(isIt)?.text ?? '')?.[1] ?? ''
    secrets.add(found)
    return found
  }

  const delivered = async () => log.told(/mail sent/, (await rows(sql`select from emails`)).length)

  const cast = await live(call, service, token, delivered)
  const recorded = log.lines
    .map((line) => JSON.parse(line) as Record<string, string | undefined>)
    .filter(({ msg }) => msg === 'security event')

  await t.test('each security event is logged with actor and user, by id only', async (t) => {
    const named = (id: string | undefined) =>
      Object.entries(cast).find(([, known]) => known === id)?.[0] ?? id
    const told = recorded.map(({ event, outcome, actor_id, user_id, reason }) =>
      [event, outcome, named(actor_id), named(user_id), reason]
        .filter((part) => part !== undefined)
        .join(' '),
    )
    t.strictSame(told, [
      'sign_in success admin',
      'user_registered success grace',
      'sign_in failure grace unverified',
      'address_verified success grace',
      'user_registered failure address in use',
      'sign_in failure grace password',
      'sign_in failure address',
      told[7],
      'user_registered failure address in use',
      'verification_requested success',
      'sign_in success grace',
      'recovery_requested success',
      'password_changed success grace',
      'sign_in success grace',
      'password_changed failure grace grace password',
      'password_changed success grace grace',
      'refresh_reuse failure grace old refresh token',
      'token_refused failure unknown',
      'token_refused failure unknown',
      'sign_in success grace',
      'sign_in success grace',
      'address_changed success grace grace',
      'address_verified success grace',
      'session_ended success grace grace',
      'session_ended success grace grace',
      'sign_out success grace grace',
      'user_created success admin ada',
      'password_changed success ada',
      'user_updated success admin ada',
      'recovery_link_shown success admin ada',
      'sign_in success ada',
      'factor_enrolled success ada ada',
      'factor_added success ada ada',
      'sign_in success ada',
      'api_key_created success ada ada',
      'passkey_added success ada ada',
      'sign_in success ada',
      'sign_in failure passkey',
      'passkey_removed success ada ada',
      'user_updated success admin ada',
      'user_deleted success admin ada',
      'address_restored success grace',
      'password_changed success grace',
      'sign_in success grace',
      'user_deleted success grace grace',
    ])
    t.match(told[7], /^user_registered success .{36}$/, 'eve')
    const fields =
      /^(level|time|pid|hostname|reqId|msg|event|outcome|actor_id|user_id|session_id|reason|ip|changed|route)$/
    for (const record of recorded) {
      t.match(record, { level: 30, reqId: /./, ip: '127.0.0.1', outcome: /^(success|failure)$/ })
      t.strictSame(
        Object.keys(record).filter((name) => !fields.test(name)),
        [],
      )
      for (const name of ['actor_id', 'user_id', 'session_id'])
        if (record[name] !== undefined) t.match(record[name], /^[0-9a-f-]{36}$/)
    }
  })

  await t.test('each kind of mail was sent', async (t) => {
    const sent = log.lines
      .map((line) => JSON.parse(line) as { msg: string; message: string })
      .filter(({ msg }) => msg === 'mail sent')
    const kinds = [...new Set(sent.map(({ message }) => message))]
    t.strictSame(
      kinds.toSorted((a, b) => a.localeCompare(b)),
      [
        'account_exists',
        'account_unconfirmed',
        'address_changed',
        'address_restored',
        'new_address',
        'own_address_changed',
        'password_changed',
        'recovery',
        'recovery_code_used',
        'recovery_link_shown',
        'session_ended',
        'test',
        'verification',
        'way_in_changed',
        'welcome',
      ],
    )
  })

  await t.test('secrets in wrong fields and paths of every operation are refused', async (t) => {
    const one = [...secrets].find((secret) => /^[0-9a-f-]{36}\./.test(secret))
    const wrong = { password: [password(1)], new_password: 5, token: { [one!]: one }, email: `${grace}@` }
    for (const { method, path, operation } of operationsOf(documentOf(app))) {
      const at = path.replace('{email}', `${grace}@`).replaceAll(/\{.+?\}/g, one!)
      const search = `?token=${one}&email=${grace}&skip=${one}`
      const headers = { authorization: `Bearer ${one}` }
      await call(method, at + search, { headers })
      const as = operation.operationId === 'login-logout' ? await service.again(admin) : admin
      if (method !== 'GET') {
        const body = { ...wrong, current_password: null, refresh_token: 5, full_name: [grace] }
        await call(method, at + search, { as, body })
        await call(method, at, {
          as,
          body: `{"token":"${one}",`,
          headers: { 'content-type': 'application/json' },
        })
        await call(method, at, { as, body: password(1), headers: { 'content-type': 'text/plain' } })
      } else await call(method, at + search, { as })
    }
    t.ok(refused.length > 80, `${refused.length} refusals`)
  })

  const dump = await dumped(service)
  await t.test('database errors that quote whole rows are 500, and Sentry gets each', async (t) => {
    await rows(
      sql.raw(`create function refuse() returns trigger language plpgsql as
        $$ begin raise exception 'no room for %', new; end $$`),
    )
    for (const table of ['users', 'sessions', 'one_time_tokens', 'emails']) {
      await rows(
        sql.raw(
          `create trigger refuse before insert or update on ${table} for each row execute function refuse()`,
        ),
      )
      const body = { email: `late-${table}@seeded.example`, password: password(11) }
      await call('POST', '/users/signup', { body })
      await call('POST', '/users/', { as: admin, body })
      const form = { username: FIRST_SUPERUSER, password: FIRST_SUPERUSER_PASSWORD }
      await call('POST', '/login/access-token', { form })
      await call('POST', `/password-recovery/${eve}`)
      await call('PATCH', `/users/me`, { as: admin, body: { email: `root-${table}@seeded.example` } })
      await rows(sql.raw(`drop trigger refuse on ${table}`))
      await rows(sql`update users set is_verified = true where is_superuser`) // of its new address
    }
    const faults = refused.filter(({ status }) => status === 500)
    t.ok(faults.length >= 11, `${faults.length} faults`)
    await service.close()
    t.equal(envelopes.length, faults.length, 'Sentry hears of each')
  })

  t.ok(secrets.size > 25, `${secrets.size} secrets`)
  /** The secret part of a token: its id may be logged. */
  const parts = [...secrets].map((secret) => secret.split('.').at(-1) ?? '').filter((part) => part.length > 5)
  const people = [...addresses, 'seeded.example', 'Hopper']
  const found = (text: string, told: readonly string[]) =>
    told.filter((one) => text.includes(one) || text.includes(encodeURIComponent(one)))
  const isSilent = (t: Test, texts: readonly string[]) =>
    t.strictSame(
      texts.filter((text) => found(text, [...parts, ...people, 'token=', '$argon2']).length > 0),
      [],
    )
  await t.test('no log line has a secret or an address', async (t) => isSilent(t, log.lines))
  await t.test('no error answer has a secret or an address', async (t) =>
    isSilent(
      t,
      refused.map(({ text }) => text),
    ),
  )
  await t.test('no event sent to Sentry has a secret or an address', async (t) => isSilent(t, envelopes))
  await t.test('the database has no secret and no link', async (t) => {
    t.match(dump, eve, 'it is the whole')
    t.strictSame(found(dump, [...parts, 'token=', 'http']), [])
  })
})

/** A dump of the whole database. */
async function dumped({ rows }: Service): Promise<string> {
  const [at] = await rows<{ name: string }>(sql`select current_database() as name`)
  const server = process.env.TEST_DATABASE_URL
  if (server !== undefined) {
    const url = Object.assign(new URL(server), { pathname: at?.name }).href
    return execFileSync('pg_dump', ['--inserts', url], { encoding: 'utf8' })
  }
  const tables = await rows<{ table: string }>(
    sql`select format('%I.%I', schemaname, tablename) as table from pg_tables where schemaname !~ '^(pg_|information)'`,
  )
  const contents = await Promise.all(
    tables.map(({ table }) => rows(sql.raw(`select row.*::text from ${table} row`))),
  )
  return JSON.stringify(contents)
}
