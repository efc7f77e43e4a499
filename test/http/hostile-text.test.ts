import { domainToASCII } from 'node:url'
import type { InjectOptions } from 'light-my-request'
import { test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import { describeError } from '../../src/http/observe/logger.ts'
import { quickest } from '../support/cpu-time.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { noDatabase } from '../support/no-database.ts'
import { startService } from '../support/service.ts'

/** Close to the longest request head that Node accepts. */
const LENGTH = 31_000
const MOST_MS = 5

// prettier-ignore
const TEXTS = [
  'a', '@', '%40', ' ', 'a@', 'a%40', 'a ', 'a@a ', '%40%40 ', '/', '"', 'W/"a",', ', ', ';', ';a=', ';a="', '\\"', '=',
  'a=b&', '%', '%25', '%20', '.', 'a.', '-', ':', '0', '[', '<', "'", '\t', 'Bearer ', 'gzip;q=0,', '10.0.0.1, ', 'bytes=0-0,',
]
// prettier-ignore
const HEADERS = [
  'accept', 'accept-encoding', 'accept-language', 'authorization', 'baggage', 'connection', 'content-type', 'cookie',
  'forwarded', 'host', 'idempotency-key', 'if-match', 'if-modified-since', 'if-none-match', 'origin', 'range', 'referer',
  'access-control-request-headers', 'access-control-request-method', 'traceparent', 'tracestate', 'user-agent',
  'x-filler', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-request-id',
]

const FIELDS = [
  ['users/signup', 'email'],
  ['users/signup', 'password'],
  ['users/signup', 'full_name'],
  ['login/refresh-token', 'refresh_token'],
  ['reset-password/', 'token'],
  ['verify-email/resend', 'email'],
] as const

const filled = (text: string) => text.repeat(LENGTH / text.length)
const inPath = (text: string) => filled(text.replaceAll(/[^!-~]|["<>]/g, encodeURIComponent))

void test('text of 31,000 characters is handled within 5 ms', async (t) => {
  const { logger, lines } = await collectingLogger()
  const config = readConfig({
    ENVIRONMENT: 'local',
    SECRET_KEY: 'only for tests, and long enough for that',
    RATE_LIMIT_ENABLED: 'false',
    TRUST_PROXY: '127.0.0.1, 10.0.0.0/8',
    BACKEND_CORS_ORIGINS: 'https://app.example.com',
  })
  const hashing = { failing: 0, cost: { memoryCost: 8, timeCost: 1, parallelism: 1 } }
  const app = await buildApp(config, { connection: noDatabase(), hashing, logger })
  t.teardown(() => app.close())

  const slow: string[] = []
  const tell = async (what: string, run: () => unknown) => {
    const ms = await quickest(MOST_MS, run)
    lines.length = 0
    if (ms > MOST_MS) slow.push(`${what}: ${ms.toFixed(1)} ms`)
  }
  const ask = (what: string, request: InjectOptions) => tell(what, () => app.inject(request))
  await app.inject('/health/live')

  await t.test('a header of 31,000 characters is handled within 5 ms', async (t) => {
    const post = { method: 'POST', url: '/api/v1/reset-password/', payload: '{}' } as const
    for (const name of HEADERS)
      for (const text of TEXTS)
        for (const target of [post, { url: '/docs/static/index.css' }])
          await ask(`${name}: ${text} (${target.url})`, {
            ...target,
            headers: { 'content-type': 'application/json', [name]: filled(text) },
          })
    const bearers = TEXTS.map((text) => `Bearer ${filled(text)}`)
    for (const authorization of bearers)
      await ask(authorization.slice(0, 20), { url: '/api/v1/users/me', headers: { authorization } })
    const types = TEXTS.map((text) => `application/json;${filled(text)}`)
    for (const type of types) await ask(type.slice(0, 30), { ...post, headers: { 'content-type': type } })
    t.same(slow.splice(0), [])
  })

  await t.test('a path of 31,000 characters is handled within 5 ms', async (t) => {
    const before = [
      '/',
      '/docs/static/',
      '/docs/',
      '/api/v1/',
      '/api/v1/users/',
      '/api/v1/papers/',
      '/inbox/',
    ]
    for (const start of [...before, '/api/v1/password-recovery/', '/api/v1/users/me/sessions/'])
      for (const text of TEXTS)
        await ask(start + text, {
          method: start.includes('recovery') ? 'POST' : 'GET',
          url: start + inPath(text),
        })
    t.same(slow.splice(0), [])
  })

  await t.test('a form or JSON field of 31,000 characters is handled within 5 ms', async (t) => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const url = '/api/v1/login/access-token'
    for (const text of TEXTS) {
      for (const name of ['username', 'password', 'grant_type', 'x']) {
        const payload = `username=a&password=b&${name}=${filled(text)}`
        await ask(`form ${name} ${text}`, { method: 'POST', url, headers: form, payload })
      }
      for (const [path, field] of FIELDS) {
        const payload = { email: 'ada@example.com', password: 'correct horse', [field]: filled(text) }
        await ask(`${path} ${field} ${text}`, { method: 'POST', url: `/api/v1/${path}`, payload })
      }
    }
    // The worst case for punycode: each character sorts before all that precede it.
    const characters = Array.from({ length: 10_000 }, (_, at) => String.fromCodePoint(0x8000 - at))
    const payload = `username=x@${domainToASCII(characters.join(''))}&password=b`
    await ask('a domain in punycode', { method: 'POST', url, headers: form, payload })
    t.same(slow.splice(0), [])
  })

  await t.test('an error message of 31,000 characters is described for the log within 5 ms', async (t) => {
    for (const text of TEXTS) await tell(text, () => describeError(new Error(filled(text))))
    t.same(slow.splice(0), [])
  })
})

void test('a list query of 31,000 characters takes at most 5 ms more than a short one', async (t) => {
  const service = await startService(t)
  const slow: string[] = []
  const as = service.admin
  const list = (query: string) => () => service.call('GET', `/papers/?${query}`, { as })
  // Plus the time that the embedded database takes for a list with a short query.
  const most = MOST_MS + (await quickest(0, list('q=a')))
  for (const text of TEXTS)
    for (const name of ['q', 'sort', 'cursor', 'skip', 'x']) {
      const least = await quickest(most, list(`${name}=${inPath(text)}`))
      if (least > most) slow.push(`${name} ${text}: ${least.toFixed(1)} ms`)
    }
  t.same(slow, [])
})
