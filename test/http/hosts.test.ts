import { test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { ownHosts } from '../../src/config/own-hosts.ts'
import { local } from '../support/environments.ts'
import { ask, startWithoutData } from '../support/no-database.ts'

const TEXT = 'Unknown Host: use localhost, or set PUBLIC_URL to where this service is reached'

/** As DNS rebinding sends them: a name of the attacker's that points to 127.0.0.1. */
const FOREIGN = [
  'evil.example:8000',
  'evil.example',
  'evil.example.',
  'localhost.evil.example:8000',
  '127.0.0.1.evil.example',
  'evil.example:8000.localhost',
  'localhost@evil.example',
  'evil.example@localhost',
  'evil.example#.localhost',
  'evil.example/.localhost',
  'evil.example\\.localhost',
  'xlocalhost',
  'localhost_',
  '10.0.0.1:8000',
  '[2001:db8::1]:8000',
  '[::2]',
  'localhost:99999',
  'localhost, evil.example',
  '',
  'a'.repeat(30_000),
]

void test('in local, a request with a foreign Host header is 403 (DNS rebinding)', async (t) => {
  const app = await startWithoutData(t)
  const routes = [
    ['GET', '/health/live'],
    ['GET', '/docs'],
    ['GET', '/api/v1/openapi.json'],
    ['GET', '/inbox'],
    ['GET', '/nothing'],
    ['POST', '/api/v1/private/users/'],
    ['POST', '/api/v1/login/access-token'],
    ['OPTIONS', '/api/v1/users/me'],
  ] as const
  for (const [method, url] of routes) {
    const { status, text } = await ask(app, { method, url, headers: { host: 'evil.example:8000' } })
    t.equal(status, 403, `${method} ${url}`)
    t.match(text, url === '/inbox' ? 'Unknown Host' : TEXT, `${method} ${url}`)
  }
  for (const host of FOREIGN.filter((name) => name !== ''))
    // inject sends no empty Host header
    t.match(
      (await ask(app, { url: '/health/live', headers: { host } })).status,
      /^40[03]$/, // 400 if it is not a valid host
      host.slice(0, 40),
    )
  const forwarded = { host: 'localhost', 'x-forwarded-host': 'evil.example' }
  t.equal(
    (await ask(app, { url: '/health/live', headers: forwarded })).status,
    200,
    'a proxy’s word is no Host',
  )
})

void test('loopback names, HOST and PUBLIC_URL are own hosts; any other name is foreign', async (t) => {
  const isOwn = (host: string | undefined, env = {}) => ownHosts(readConfig({ ...local, ...env }))(host)
  const loopback = [
    'localhost',
    'LOCALHOST:1',
    'localhost.',
    'localhost.:8000',
    'app.localhost:8000',
    '127.0.0.1',
  ]
  for (const host of [...loopback, '127.8.9.1:80', '[::1]:8000', '[::ffff:127.0.0.1]:8000'])
    t.ok(isOwn(host), host)
  for (const host of [...FOREIGN, undefined]) t.notOk(isOwn(host), String(host).slice(0, 40))

  const box = { PUBLIC_URL: 'http://box.lan:8000/api' }
  for (const host of ['box.lan:8000', 'BOX.lan.:8000']) t.ok(isOwn(host, box), host)
  for (const host of ['box.lan', 'box.lan:8001', 'x.box.lan:8000', 'box.lan.x:8000'])
    t.notOk(isOwn(host, box), host)
  for (const host of ['box.lan', 'box.lan:443']) t.ok(isOwn(host, { PUBLIC_URL: 'https://box.lan' }), host)

  t.ok(isOwn('192.168.1.5:8000', { HOST: '192.168.1.5' }), 'the address that it listens on')
  t.notOk(isOwn('192.168.1.6:8000', { HOST: '192.168.1.5' }))
  t.ok(isOwn('[2001:db8::1]:8000', { HOST: '2001:0db8::1' }))
  for (const HOST of ['0.0.0.0', '::']) {
    t.ok(isOwn('192.168.1.5:8000', { HOST }), 'any address, where it listens on all')
    t.ok(isOwn('[2001:db8::1]:8000', { HOST }))
    t.notOk(isOwn('evil.example:8000', { HOST }), 'and no name')
  }
})

void test('in local, a page of another origin cannot create users through /private/users/', async (t) => {
  const app = await startWithoutData(t)
  const payload = JSON.stringify({ email: 'a@b.co', password: 'correct horse battery', full_name: null })
  const origin = 'http://evil.example'
  const types = [
    {},
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/x-www-form-urlencoded' },
  ]
  for (const type of types) {
    const request = {
      method: 'POST',
      url: '/api/v1/private/users/',
      headers: { origin, ...type },
      payload,
    } as const
    const { status, headers } = await ask(app, request)
    t.equal(status, 415, 'what a browser sends without asking')
    t.notOk(headers['access-control-allow-origin'])
  }
  const preflight = { origin, 'access-control-request-method': 'POST' }
  const { headers } = await ask(app, { method: 'OPTIONS', url: '/api/v1/private/users/', headers: preflight })
  t.notOk(headers['access-control-allow-origin'], 'and what it asks for is not allowed')
})

void test('outside local, any Host header is served', async (t) => {
  const env = { ENVIRONMENT: 'staging', DATABASE_URL: 'postgres://127.0.0.1/unused' }
  const app = await startWithoutData(t, env)
  t.equal((await ask(app, { url: '/health/live', headers: { host: 'api.example.com' } })).status, 200)
})
