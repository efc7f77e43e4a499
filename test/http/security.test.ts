import { test } from 'tap'
import type { App } from '../../src/contract/contract.ts'
import { isAnswer } from '../support/answers.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'

const health = '/api/v1/utils/health-check/'
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

const get = (app: App, origin: string, url = health) => ask(app, { url, headers: { origin } })
const preflight = (app: App, origin: string, method: string, url = '/api/v1/users/me') =>
  ask(app, {
    method: 'OPTIONS',
    url,
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type',
    },
  })
const list = (value: unknown) => (typeof value === 'string' ? value.split(/, */) : [])

void test('fault 19: CORS allows the configured origins and no others', async (t) => {
  const app = await startWithoutData(t, {
    FRONTEND_HOST: 'https://app.example.com/start/',
    BACKEND_CORS_ORIGINS: '["https://admin.example.com/", "capacitor://localhost"]',
  })
  const dev = ['http://localhost:5173', 'http://localhost:3000'] // of the usual dev servers, in local
  const allowed = ['https://app.example.com', 'https://admin.example.com', 'capacitor://localhost', ...dev]

  await t.test('CORS allows credentials and every method from each configured origin', async (t) => {
    for (const origin of allowed) {
      for (const url of [health, '/api/v1/users/me', '/nothing', '/api/v1/papers/x']) {
        const { headers } = await get(app, origin, url)
        t.equal(headers['access-control-allow-origin'], origin, `${url} from ${origin}`)
        t.equal(headers['access-control-allow-credentials'], 'true')
        t.same(list(headers['access-control-expose-headers']), ['X-Request-Id', 'Retry-After', 'ETag'])
        t.ok(list(headers.vary).includes('Origin'), 'caches keep origins apart')
      }
      for (const method of METHODS) {
        const { status, headers } = await preflight(app, origin, method)
        t.equal(status, 204, `${method} from ${origin}`)
        t.equal(headers['access-control-allow-origin'], origin)
        t.equal(headers['access-control-allow-credentials'], 'true')
        t.ok(list(headers['access-control-allow-methods']).includes(method))
        t.same(list(headers['access-control-allow-headers']), ['authorization', 'content-type'])
      }
    }
  })

  await t.test('another origin gets no Access-Control-Allow-Origin', async (t) => {
    const others = [
      'null',
      '*',
      'https://evil.example',
      'https://app.example.com.evil.example',
      'http://app.example.com',
      'https://app.example.com:8443',
      'https://APP.example.com',
      'https://example.com',
      'http://localhost',
      '',
    ]
    for (const origin of others)
      for (const answer of [await get(app, origin), await preflight(app, origin, 'PATCH')])
        t.equal(answer.headers['access-control-allow-origin'], undefined, `${answer.status} from ${origin}`)
  })

  await t.test('an OPTIONS request that is no preflight is 405', async (t) => {
    const options = (headers: Record<string, string>) =>
      ask(app, { method: 'OPTIONS', url: '/api/v1/users/me', headers })
    isAnswer(t, await options({}), 405, 'Method Not Allowed')
    isAnswer(t, await options({ origin: 'https://app.example.com' }), 405, 'Method Not Allowed')
  })
})

void test('in local, a frontend on this machine that CORS refuses is one line of log, which names the setting', async (t) => {
  const log = await collectingLogger('local')
  const app = await startWithoutData(t, {}, noDatabase(), { logger: log.logger })
  const line = (origin: string) => new RegExp(`CORS: ${origin} may not call.*BACKEND_CORS_ORIGINS`)
  const own = { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }
  const fetched = { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-site' }

  await preflight(app, 'http://localhost:4200', 'PATCH')
  await preflight(app, 'http://localhost:4200', 'GET')
  t.equal(log.count(line('http://localhost:4200')), 1, 'once for each origin')
  await ask(app, { url: health, headers: { origin: 'http://127.0.0.1:5173', ...fetched } })
  t.equal(log.count(line('http://127.0.0.1:5173')), 1, 'also where the browser sends no preflight')
  await preflight(app, 'http://localhost:5173', 'PATCH')
  await preflight(app, 'https://evil.example', 'PATCH')
  await preflight(app, 'http://localhost:1/<script>', 'PATCH')
  await ask(app, { url: health, headers: { origin: 'http://localhost:8000', ...own } })
  await ask(app, { url: health, headers: { origin: 'http://localhost:8001' } })
  t.equal(
    log.count(/CORS: /),
    2,
    'neither those that may, nor others than this machine, nor pages of its own',
  )
  for (let port = 10_000; port < 10_100; port += 1) await preflight(app, `http://localhost:${port}`, 'GET')
  t.equal(log.count(/CORS: /), 20, 'and never more than twenty')
})

void test('outside local, a refused origin is no line of log', async (t) => {
  const log = await collectingLogger()
  const env = { ENVIRONMENT: 'staging', DATABASE_URL: 'postgres://127.0.0.1/unused' }
  const app = await startWithoutData(t, env, noDatabase(), { logger: log.logger })
  await preflight(app, 'http://localhost:4200', 'PATCH')
  t.equal(log.count(/CORS: /), 0)
})

void test('fault 19: without configured origins there is no CORS at all', async (t) => {
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
  })
  for (const origin of ['http://localhost:8000', 'https://evil.example', 'null']) {
    const answers = [await get(app, origin), await preflight(app, origin, 'GET')]
    for (const { headers } of answers)
      t.same(
        Object.keys(headers).filter((name) => name.startsWith('access-control-')),
        [],
        origin,
      )
  }
})

void test('fault 19: API answers have nosniff, no-referrer and a CSP that allows nothing', async (t) => {
  const app = await startWithoutData(t)
  for (const url of [health, '/health/live', '/nothing', '/api/v1/users/me', '/api/v1/openapi.json']) {
    const { headers } = await ask(app, { url })
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'content-security-policy': /^default-src 'none';frame-ancestors 'none'$/,
      'referrer-policy': 'no-referrer',
      'x-frame-options': /./,
    })
    t.notHas(headers, 'x-powered-by')
    t.notHas(headers, 'server')
    t.notHas(headers, 'strict-transport-security', 'plain HTTP on localhost goes on working')
  }
  const page = await ask(app, { url: '/docs/' })
  t.equal(page.headers['x-content-type-options'], 'nosniff')
  t.match(page.headers['content-security-policy'], /^default-src 'self'/, 'pages have a policy of their own')
})

void test('fault 19: outside local, answers carry HSTS for half a year or more', async (t) => {
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
  })
  for (const url of [health, '/nothing', '/docs/']) {
    const [, age] =
      /^max-age=(\d+)/.exec(String((await ask(app, { url })).headers['strict-transport-security'])) ?? []
    t.ok(Number(age) >= 180 * 24 * 3600, `${url}: for half a year or more`)
  }
})
