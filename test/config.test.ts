import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { ConfigError, loadConfig, readConfig } from '../src/config/config.ts'
import { type Env, SECRET_KEY, local, production, smtp } from './support/environments.ts'

/** Those that contract.md allows in local. */
const DEV_SERVERS = ['http://localhost:5173', 'http://localhost:3000']

void test('without settings, the environment is local and the service listens on 127.0.0.1', async (t) => {
  const DATA_DIR = t.testdir()
  const { SECRET_KEY, ...config } = readConfig({ DATA_DIR })
  t.match(SECRET_KEY, /^.{32,}$/)
  t.strictSame(config, {
    oidc: [],
    REAUTHENTICATION_MINUTES: 60,
    EMAIL_CHANGE: 'immediate',
    SECOND_FACTOR: 'optional',
    AUDIT_RETENTION_DAYS: 365,
    ENVIRONMENT: 'local',
    PROJECT_NAME: 'Groundwork',
    PROJECT_COLOR: '#0f6b5c',
    HOST: '127.0.0.1',
    PORT: 8000,
    PUBLIC_URL: 'http://localhost:8000',
    MIGRATE_ON_START: true,
    DATABASE_POOL_SIZE: 10,
    DATABASE_TIMEOUT_MS: 800,
    MAX_ROWS_PER_USER: 100_000,
    DATA_DIR,
    FIRST_SUPERUSER: 'admin@example.com',
    FIRST_SUPERUSER_PASSWORD: 'changethis',
    ACCESS_TOKEN_EXPIRE_MINUTES: 60,
    REFRESH_TOKEN_EXPIRE_DAYS: 30,
    EMAIL_RESET_TOKEN_EXPIRE_HOURS: 1,
    EMAIL_VERIFY_TOKEN_EXPIRE_HOURS: 48,
    EMAIL_VERIFICATION: 'optional',
    RATE_LIMIT_ENABLED: true,
    SMTP_PORT: 587,
    SMTP_TLS: true,
    SMTP_SSL: false,
    METRICS_HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    DOCS_ENABLED: true,
    mail: 'inbox',
    publicPath: '',
    linkBase: 'http://localhost:8000',
    corsOrigins: DEV_SERVERS,
    trustedProxies: [],
    profile: [],
    unusedNames: [],
  })
})

void test('settings that are left out are derived from the others', async (t) => {
  const cases: [env: Env, expected: object][] = [
    [production, { HOST: '0.0.0.0', DOCS_ENABLED: false, mail: 'off', PUBLIC_URL: undefined }],
    [
      { ...production, ENVIRONMENT: 'staging' },
      { HOST: '0.0.0.0', DOCS_ENABLED: true },
    ],
    [
      { ...production, DOCS_ENABLED: 'true', HOST: '10.0.0.1' },
      { HOST: '10.0.0.1', DOCS_ENABLED: true },
    ],
    [
      { ...local, PORT: '9000' },
      { PUBLIC_URL: 'http://localhost:9000', linkBase: 'http://localhost:9000' },
    ],
    [
      { ...local, PUBLIC_URL: 'https://api.example.com//' },
      { linkBase: 'https://api.example.com', publicPath: '' },
    ],
    [{ ...local, PUBLIC_URL: 'https://api.example.com/a/' }, { publicPath: '/a' }],
    [
      { ...production, ...smtp, PUBLIC_URL: 'https://a.example' },
      { mail: 'smtp', linkBase: 'https://a.example' },
    ],
    [
      { ...local, FRONTEND_HOST: 'https://app.example.com/start/' },
      { linkBase: 'https://app.example.com/start', corsOrigins: ['https://app.example.com', ...DEV_SERVERS] },
    ],
    [{ ...local, HOST: '0.0.0.0' }, { HOST: '0.0.0.0' }],
    [{ SECRET_KEY, HOST: '127.1.2.3' }, { HOST: '127.1.2.3' }],
    [{ SECRET_KEY, HOST: '::1' }, { HOST: '::1' }],
    [{ ...local, SECRET_KEY: 'changethis' }, { SECRET_KEY: 'changethis' }],
  ]
  for (const [env, expected] of cases) t.match(readConfig(env), expected, JSON.stringify(env))
})

void test('COMPATIBILITY=fastapi-template sets what its frontend needs, and each name that is set wins', async (t) => {
  const profile = (env: Env) => readConfig({ ...local, COMPATIBILITY: 'fastapi-template', ...env })
  t.match(profile({}), {
    EMAIL_VERIFICATION: 'off',
    ACCESS_TOKEN_EXPIRE_MINUTES: 11_520,
    profile: ['EMAIL_VERIFICATION=off', 'ACCESS_TOKEN_EXPIRE_MINUTES=11520'],
  })
  t.match(profile({ EMAIL_VERIFICATION: 'required' }), {
    EMAIL_VERIFICATION: 'required',
    ACCESS_TOKEN_EXPIRE_MINUTES: 11_520,
    profile: ['ACCESS_TOKEN_EXPIRE_MINUTES=11520'],
  })
  t.match(profile({ ACCESS_TOKEN_EXPIRE_MINUTES: '5' }), { ACCESS_TOKEN_EXPIRE_MINUTES: 5 })
  const others = {
    COMPATIBILITY: 'fastapi-template',
    EMAIL_VERIFICATION: 'off',
    ACCESS_TOKEN_EXPIRE_MINUTES: 11_520,
    profile: ['EMAIL_VERIFICATION=off', 'ACCESS_TOKEN_EXPIRE_MINUTES=11520'],
  }
  t.strictSame(profile({}), { ...readConfig(local), ...others }, 'and nothing else, as of revocation')
  t.throws(() => readConfig({ ...local, COMPATIBILITY: 'fastapi' }), {
    message: /^ {2}- COMPATIBILITY: fastapi-template is the only value$/m,
  })
})

void test('with FRONTEND_DIR, links in mails lead to the own origin, where FRONTEND_HOST names no other', async (t) => {
  const FRONTEND_DIR = t.testdir({ 'index.html': '' })
  const own = { ...local, FRONTEND_DIR }
  t.match(readConfig(own), { FRONTEND_HOST: 'http://localhost:8000', linkBase: 'http://localhost:8000' })
  t.match(readConfig({ ...own, PUBLIC_URL: 'https://a.example/' }), { FRONTEND_HOST: 'https://a.example' })
  t.match(readConfig({ ...own, FRONTEND_HOST: 'https://b.example' }), { linkBase: 'https://b.example' })
  t.strictSame(readConfig(own).corsOrigins, DEV_SERVERS, 'the own origin needs no CORS')
  const served = { ...production, ...smtp, FRONTEND_DIR, PUBLIC_URL: 'https://a.example' }
  t.match(readConfig(served), { linkBase: 'https://a.example', corsOrigins: [] })
})

void test('lists are comma-separated or JSON', async (t) => {
  const origins = ['https://a.example.com', 'http://localhost:5173']
  for (const BACKEND_CORS_ORIGINS of [
    origins.join(),
    ` ${origins.join(' , ')}, `,
    JSON.stringify(origins),
    JSON.stringify(origins.map((origin) => `${origin}/`)),
    [...origins, origins[0]].join(),
  ])
    t.strictSame(
      readConfig({ ...production, BACKEND_CORS_ORIGINS }).corsOrigins,
      origins,
      BACKEND_CORS_ORIGINS,
    )
  const both = readConfig({
    ...production,
    FRONTEND_HOST: 'http://f.example',
    BACKEND_CORS_ORIGINS: origins.join(),
  })
  t.strictSame(both.corsOrigins, ['http://f.example', ...origins], 'the frontend is one of them')
  for (const TRUST_PROXY of ['10.0.0.0/8, ::1', '["10.0.0.0/8","::1"]'])
    t.strictSame(readConfig({ ...local, TRUST_PROXY }).trustedProxies, ['10.0.0.0/8', '::1'])
})

void test('flags are read in any case, and an empty value counts as unset', async (t) => {
  for (const [text, value] of Object.entries({
    true: true,
    TRUE: true,
    True: true,
    1: true,
    false: false,
    False: false,
    0: false,
  }))
    t.equal(readConfig({ ...local, SMTP_TLS: text }).SMTP_TLS, value, text)
  for (const text of ['', ' ', '\t']) {
    const config = readConfig({
      ...local,
      SMTP_TLS: text,
      PORT: text,
      DOCS_ENABLED: text,
      HOST: text,
      SMTP_HOST: text,
    })
    t.match(config, { SMTP_TLS: true, PORT: 8000, DOCS_ENABLED: true, HOST: '127.0.0.1', mail: 'inbox' })
  }
})

void test('in local, SECRET_KEY is generated once, in a file that only its owner can read', async (t) => {
  const folder = t.testdir()
  const DATA_DIR = join(folder, 'deep', 'data')
  const { SECRET_KEY: first } = readConfig({ DATA_DIR })
  t.equal(readConfig({ DATA_DIR }).SECRET_KEY, first, 'a restart signs nobody out')
  t.equal(statSync(join(DATA_DIR, 'secret')).mode & 0o777, 0o600)
  t.not(readConfig({ DATA_DIR: join(folder, 'other') }).SECRET_KEY, first)
  const given = { DATA_DIR: join(folder, 'unused'), SECRET_KEY }
  t.equal(readConfig(given).SECRET_KEY, SECRET_KEY)
  t.notOk(existsSync(given.DATA_DIR), 'nothing is written where one is given')
})

void test('a secret file that was cut off is replaced or refused', async (t) => {
  const DATA_DIR = t.testdir({ secret: 'cut' })
  try {
    t.ok(readConfig({ DATA_DIR }).SECRET_KEY.length >= 32, 'another is made')
    t.ok(readFileSync(join(DATA_DIR, 'secret'), 'utf8').length >= 32)
  } catch (error) {
    t.type(error, ConfigError, 'or the start is refused')
  }
})

void test('.env in the working folder is read, and the environment wins', async (t) => {
  const folder = t.testdir({
    '.env':
      'PORT=9001\nPROJECT_NAME="From the file"\nLOG_LEVEL=debug\n# HOST=10.0.0.1\nSECRET_KEY=\nSMTP_HOST=\n',
  })
  const [back, before] = [process.cwd(), { ...process.env }]
  t.teardown(() => {
    process.chdir(back)
    process.env = before
  })
  process.chdir(folder)
  process.env = { PORT: '9002', LOG_LEVEL: '', DATA_DIR: join(folder, 'data') }
  t.match(loadConfig(), { PORT: 9002, PROJECT_NAME: 'From the file', LOG_LEVEL: 'debug', HOST: '127.0.0.1' })
  writeFileSync('.env', 'PORT=nine\n')
  delete process.env.PORT
  t.throws(loadConfig, { name: 'ConfigError', message: /PORT: a whole number/ })
})
