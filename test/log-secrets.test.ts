import { createHmac, randomUUID } from 'node:crypto'
import type { InjectOptions } from 'light-my-request'
import { test } from 'tap'
import { describeError, rememberInput } from '../src/http/observe/logger.ts'
import { maskedText } from '../src/text/masking.ts'
import { startCollector } from './support/collector.ts'
import { collectingLogger } from './support/log-lines.ts'
import { ask, noDatabase, startWithoutData } from './support/no-database.ts'
import { firebase, hashes } from './support/other-hashes.ts'
import { freePort } from './support/postgres.ts'
import { startSentry } from './support/sentry.ts'

/** Secrets as they are mailed, issued and chosen by people. */
const mac = () => createHmac('sha256', randomUUID()).update('seeded').digest('base64url')
const mailed = `${randomUUID()}.${mac()}`
const issued = `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${Buffer.from(`{"sub":"${randomUUID()}"}`).toString('base64url')}.${mac()}`
const chosen = 'plain-secret-words'
const address = 'ada.seeded@example.org'

const STAGING = {
  ENVIRONMENT: 'staging',
  DATABASE_URL: 'postgres://127.0.0.1/unused',
  FIRST_SUPERUSER: 'root@example.com',
  FIRST_SUPERUSER_PASSWORD: 'superuser-password',
  PUBLIC_URL: 'https://seeded.example',
  SMTP_HOST: '127.0.0.1',
  EMAILS_FROM_EMAIL: 'from@example.com',
}

/** Every place of a request that can carry a secret. */
function requestsWith(secret: string): InjectOptions[] {
  const encoded = encodeURIComponent(secret)
  const headers = {
    referer: `https://app.example/reset-password?token=${encoded}`,
    'user-agent': `mail client ${secret}`,
    cookie: `session=${encoded}`,
    authorization: `Bearer ${secret}`,
    origin: `https://${encoded}.example`,
    'x-forwarded-for': secret,
    'if-match': `"${secret}"`,
    'idempotency-key': secret,
    tracestate: `vendor=${encoded}`,
    baggage: `token=${encoded}`,
    traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`,
  }
  const paths = [
    `/reset-password/${secret}`,
    `/reset-password/${encoded}?token=${encoded}`,
    `/verify-email?token=${encoded}#${encoded}`,
    `/api/v1/reset-password/${encoded}/${encoded}`,
    `/api/v1/users/${encoded}`,
    `/api/v1/password-recovery/${encoded}`,
    `/api/v1/password-recovery/${encoded}%zz`,
    `/${encoded}/%zz?${encoded}`,
    `//${encoded}`,
    `/api/v1/users/me?${encoded}=${encoded}&email=${encoded}`,
    `/api/v1/papers/?q=${encoded}&sort=${encoded}&cursor=${encoded}`,
  ]
  const body = { token: secret, new_password: secret, email: secret, refresh_token: secret, [secret]: secret }
  const form = { username: secret, password: secret, client_secret: secret, client_id: secret, scope: secret }
  return [
    ...paths.flatMap((url) =>
      (['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD'] as const).map((method) => ({ method, url, headers })),
    ),
    ...['reset-password/', 'verify-email/', 'login/refresh-token', 'users/signup', 'verify-email/resend'].map(
      (path) => ({ method: 'POST' as const, url: `/api/v1/${path}`, headers, body }),
    ),
    {
      method: 'POST',
      url: '/api/v1/login/access-token',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    },
    {
      method: 'POST',
      url: '/api/v1/reset-password/',
      headers: { ...headers, 'content-type': 'application/json' },
      body: `{"token": ${secret}`,
    },
    {
      method: 'POST',
      url: '/api/v1/reset-password/',
      headers: { ...headers, 'content-type': secret },
      body: secret,
    },
  ]
}

void test('a secret in any place of a request is found in no log line, metric, trace or report', async (t) => {
  const log = await collectingLogger()
  const collector = await startCollector(t)
  const sentry = await startSentry(t)
  const port = await freePort()
  let fault: Error | undefined
  const env = {
    ...STAGING,
    METRICS_PORT: String(port),
    SENTRY_DSN: sentry.dsn,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
  }
  const app = await startWithoutData(
    t,
    env,
    noDatabase(() => fault),
    { logger: log.logger },
  )
  for (const secret of [mailed, issued, chosen, address]) {
    fault = undefined
    for (const request of requestsWith(secret)) await ask(app, request)
    // An internal error whose message, stack and code repeat the secret.
    const message = `can't take ${secret}\n    at ${secret} (x.js:1:1)`
    fault = Object.assign(new Error(message), { code: secret, cause: new Error(secret), value: secret })
    const fails = async () => {
      if (fault) throw fault
    }
    Object.assign(app.auth.accounts, { findForSignIn: fails })
    Object.assign(app.auth.oneTimeTokens, { find: fails })
    for (const request of requestsWith(secret)) await ask(app, request)
    await app.reported()
  }
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  await app.close()

  const told = {
    logs: log.lines.join(''),
    metrics,
    traces: collector.text(),
    reports: sentry.envelopes.join(''),
  }
  t.ok(log.count(/request failed/) >= 10, `${log.count(/request failed/)} faults of ours`)
  t.ok(sentry.envelopes.length >= 10, `${sentry.envelopes.length} reports`)
  t.ok(collector.spans.length > 100, `${collector.spans.length} spans`)
  const seeded = [
    mailed,
    ...mailed.split('.'),
    issued,
    ...issued.split('.').slice(1),
    chosen,
    address,
    encodeURIComponent(address),
    'ada.seeded',
  ]
  for (const [where, text] of Object.entries(told))
    t.same(
      seeded.filter((secret) => text.includes(secret)),
      [],
      `in ${where}`,
    )
  t.match(told.logs, /"path":"\/reset-password\/\*"/, 'what is known of a path is told')
})

void test('the log line of a reply that was sent twice does not repeat its URL', async (t) => {
  const { logger, lines } = await collectingLogger()
  const app = await startWithoutData(t, {}, noDatabase(), { logger })
  Object.assign(app.auth.accounts, {
    spelling: () => {
      throw new SyntaxError(`Unexpected token 'a', "${chosen}" is not valid JSON`)
    },
  })
  await ask(app, { method: 'POST', url: `/api/v1/password-recovery/x@example.com` })
  const code = 'FST_ERR_REP_ALREADY_SENT'
  const message = `Reply was already sent, did you forget to "return reply" in "/reset-password?token=${chosen}" (GET)?`
  logger.warn({ err: Object.assign(new Error(message), { code }) }, message)
  t.notMatch(lines.join(''), chosen)
  t.match(lines.join(''), code)
})

void test('a secret that is logged by mistake is redacted, in any field and any text', async (t) => {
  const { logger, lines } = await collectingLogger()
  const names = [
    'username',
    'client_secret',
    'recipient',
    'refreshToken',
    'X-Api-Key',
    'SMTP_PASSWORD',
    'set-cookie',
  ]
  names.push(
    'new_password',
    'clientSecret',
    'Email',
    'hashed_password',
    'passwd',
    'fullName',
    'link',
    'to',
    'otp',
  )
  class Account {
    readonly email = chosen
  }
  for (const name of names) {
    logger.info({ [name]: chosen }, 'at the top')
    logger.info({ deep: { deeper: [{ [name]: { value: [chosen] } }] } }, 'deep')
    logger.child({ [name]: chosen, deep: { [name]: chosen } }).info('by a child')
    logger.info(`${name}: ${chosen} and ${name}=${chosen} and {"${name}":"${chosen} too"}`)
    logger.info('%s %o', `${name}=${chosen}`, { [name]: chosen })
    logger.error(new Error(`${name}=${chosen}`))
    logger.error({ err: new Error(`"${name}": "${chosen}"`) })
    logger.error({ list: [new Error(`${name}: '${chosen} too'`)] }, 'nested')
  }
  logger.info(
    { account: new Account(), map: new Map([['x', chosen]]), bytes: Buffer.from(chosen) },
    'instances',
  )
  for (const text of [
    mailed,
    issued,
    address,
    `https://user:${chosen}@host/x?token=${chosen}`,
    `Bearer ${chosen}`,
  ]) {
    logger.info(`said ${text} aloud`)
    logger.info({ [text]: text, list: [text], text: `(${text})` }, 'under a name that says nothing')
    logger.warn(new Error(`a message with ${text}`))
  }
  logger.error(null)
  logger.error({ err: `token=${chosen}` }, 'thrown, and no error')
  const [, token = ''] = mailed.split('.')
  for (const line of lines)
    t.notOk(
      [chosen, token, address].some((secret) => line.includes(secret)),
      line.slice(0, 200),
    )
})

void test('a secret in text is redacted whole, in any notation', async (t) => {
  for (const text of [
    'password=plain,hidden-end and more',
    'password=plain;hidden-end',
    'password=(hidden-end)',
    'password=plain"hidden-end too"',
    '{"password":"ab\\"cd hidden-end"}',
    "{ password: 'ab\\'cd hidden-end' }",
    String.raw`{"body":"{\"password\":\"ab\\\"cd hidden-end\"}"}`,
    'password: "never closed hidden-end',
    'Authorization: Token hidden-end',
    'Authorization: Digest username="ada", response="hidden-end"',
    'authorization=Token hidden-end',
    'Cookie: a=b; sid=hidden-end',
    'Set-Cookie : a=b; sid=hidden-end; Path=/',
    'run with --password hidden-end --verbose',
    '--db-token hidden-end',
    ...['signing_key', 'access_key', 'encryptionKey', 'AUTH_CODE'].map((name) => `${name}=hidden-end`),
  ]) {
    t.notMatch(maskedText(text), /hidden-end/, text)
    t.match(maskedText(text), '[redacted]', text)
  }
  t.equal(
    maskedText('password=a,b c=d\nCookie: e=f; g=h\nnext line: plain'),
    'password=[redacted], c=d\nCookie: [redacted]; \nnext line: plain',
  )
  t.equal(
    maskedText('{"otp":123456,"id":5}'),
    '{"otp"[redacted],"id":5}',
    'what is a field of its own is told',
  )
})

void test('an error message that repeats request input is logged with [input] in its place', async (t) => {
  const error = new Error('first-input and second-input, first-input; input-input')
  rememberInput(error, {
    body: { one: 'first-input', two: ['second-input'], three: 'input', more: Array(90).fill('inpu') },
    query: {},
    params: {},
    headers: {},
  })
  t.equal(describeError(error).message, '[input] and [input], [input]; [input]-[input]')
})

void test('text without secrets is logged unchanged', async (t) => {
  const plain = [
    'connect ECONNREFUSED 127.0.0.1:5432',
    "Cannot read properties of undefined (reading 'id')",
    "Cannot find package '@fastify/jwt' imported from /app/dist/accounts/plugin.js",
    'duplicate key value violates unique constraint "users_email_unique"',
    'X-Forwarded-For is ignored, as TRUST_PROXY names no proxy: limits count all its clients as one',
    'canceling statement due to statement timeout',
    `user ${randomUUID()} is gone`,
    'Server listening at http://127.0.0.1:8000',
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    'Request failed with status code 404, error code: 28P01',
    String.raw`{"body":"{\"title\":\"a \\\"b\"}"} isn't "closed`,
    String.raw`no folder "C:\data\" here, and it's 'open`,
  ]
  for (const text of plain) t.equal(maskedText(text), text)
})

void test('log lines stay below 30,000 characters and take bounded time, whatever is logged', async (t) => {
  const { logger, lines } = await collectingLogger()
  const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`field_${at}`, 'text']))
  const wide = Array.from({ length: 100_000 }, () => ({ text: 'x' }))
  let deep: object = {}
  for (let level = 0; level < 10_000; level++) deep = { deep }
  const before = process.cpuUsage()
  for (let round = 0; round < 20; round++) {
    logger.info({ many, wide, deep }, 'large')
    for (const piece of [
      'a',
      '@',
      '%40',
      ' ',
      '"',
      "'",
      '=',
      ':',
      '?',
      'a@',
      '" ',
      'token=',
      'a1-',
      '%40 @',
      '\\"',
      "\\'",
      '"\\',
      '\\\\"',
      'token=a,',
      'cookie:a;',
      '--token ',
    ])
      logger.info({ text: piece.repeat(100_000) }, piece.repeat(100_000))
  }
  const { user, system } = process.cpuUsage(before)
  t.ok(Math.max(...lines.map((line) => line.length)) < 30_000, 'lines are short')
  t.comment(`figure: 440 log lines of the largest kind take ${Math.round((user + system) / 1000)} ms`)
  t.ok(user + system < 3_000_000, `${(user + system) / 1000} ms for 440 lines`)
})

void test('a stored hash of any kind is masked', (t) => {
  for (const hash of [...Object.values(hashes), firebase.hash]) {
    const masked = maskedText(`row of ${hash} failed`)
    t.equal(masked, 'row of [redacted] failed', hash)
  }
  t.end()
})
