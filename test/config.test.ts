import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { ConfigError, readConfig } from '../src/config.ts'

const secret = 'only for tests, and long enough for that'
const local = { SECRET_KEY: secret }
const production = {
  ENVIRONMENT: 'production',
  SECRET_KEY: secret,
  DATABASE_URL: 'postgres://127.0.0.1/x',
  FIRST_SUPERUSER_PASSWORD: 'not for anything real',
}

/** The names that are complained about. */
function faults(env: Record<string, string>): string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map((fault) => fault.split(':')[0]!)
  }
}

void test('what is not set has the defaults that the README names', async (t) => {
  t.match(readConfig(local), {
    ENVIRONMENT: 'local',
    HOST: '127.0.0.1',
    PORT: 8000,
    PUBLIC_URL: 'http://localhost:8000',
    linkBase: 'http://localhost:8000',
    mail: 'inbox',
    DOCS_ENABLED: true,
    corsOrigins: [],
    trustedProxies: [],
  })
  t.match(readConfig(production), {
    HOST: '0.0.0.0',
    PUBLIC_URL: undefined,
    mail: 'off',
    DOCS_ENABLED: false,
  })
})

void test('values are read as what they are', async (t) => {
  t.equal(readConfig({ ...local, PORT: ' ' }).PORT, 8000, 'empty counts as unset')
  for (const [text, value] of Object.entries({ TRUE: true, '1': true, False: false, '0': false }))
    t.equal(readConfig({ ...local, SMTP_SSL: text }).SMTP_SSL, value)
  for (const origins of [
    'https://a.example, https://b.example/',
    '["https://a.example","https://b.example"]',
  ])
    t.strictSame(readConfig({ ...local, BACKEND_CORS_ORIGINS: origins }).corsOrigins, [
      'https://a.example',
      'https://b.example',
    ])
  const config = readConfig({
    ...local,
    FRONTEND_HOST: 'https://app.example/',
    TRUST_PROXY: '10.0.0.0/8,::1',
  })
  t.equal(config.linkBase, 'https://app.example')
  t.strictSame(config.corsOrigins, ['https://app.example'])
  t.strictSame(config.trustedProxies, ['10.0.0.0/8', '::1'])
})

void test('what is wrong is named', async (t) => {
  const wrong: Record<string, string> = {
    ENVIRONMENT: 'prod',
    PORT: '0x10',
    SMTP_TLS: 'maybe',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://x/y',
    PUBLIC_URL: 'example.com',
    BACKEND_CORS_ORIGINS: '*',
    TRUST_PROXY: '10.0.0.0/33',
    FIRST_SUPERUSER: 'nobody',
    FIRST_SUPERUSER_PASSWORD: 'short',
    EMAILS_FROM_EMAIL: 'a@b@c',
    SECRET_KEY: 'short',
  }
  for (const [name, value] of Object.entries(wrong)) t.strictSame(faults({ ...local, [name]: value }), [name])
  t.strictSame(faults({ ...local, BACKEND_CORS_ORIGINS: '[nonsense' }), ['BACKEND_CORS_ORIGINS'])
  t.strictSame(faults({ ...local, SMTP_HOST: 'mail' }), ['EMAILS_FROM_EMAIL'])
  t.strictSame(faults({ ...local, HOST: '0.0.0.0' }), ['ENVIRONMENT'])
  t.strictSame(faults({ ...local, HOST: '0.0.0.0', ENVIRONMENT: 'local' }), [])
  t.strictSame(faults({ ...local, HOST: '127.0.0.2' }), [])
})

void test('outside local nothing unsafe starts', async (t) => {
  t.strictSame(faults({ ENVIRONMENT: 'staging' }), ['DATABASE_URL', 'SECRET_KEY', 'FIRST_SUPERUSER_PASSWORD'])
  t.strictSame(faults({ ...production, SMTP_PASSWORD: 'changethis' }), ['SMTP_PASSWORD'])
  t.strictSame(faults({ ...production, SMTP_HOST: 'mail', EMAILS_FROM_EMAIL: 'a@example.com' }), [
    'FRONTEND_HOST or PUBLIC_URL',
  ])
})

void test('a local secret is made once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-config-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const { SECRET_KEY } = readConfig({ DATA_DIR: folder })
  t.ok(SECRET_KEY.length >= 32)
  t.equal(readConfig({ DATA_DIR: folder }).SECRET_KEY, SECRET_KEY)
  t.throws(() => readConfig({ DATA_DIR: '/dev/null/nothing' }))
})
