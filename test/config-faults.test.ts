import { randomBytes } from 'node:crypto'
import { test } from 'tap'
import { ConfigError, readConfig } from '../src/config/config.ts'
import { Environment } from '../src/config/environment.ts'
import { weaknessOf } from '../src/config/secrets/secret-strength.ts'
import { settingDoubts } from '../src/config/setting-doubts.ts'
import { type Env, SECRET_KEY, local, production, smtp } from './support/environments.ts'
import { originOf } from '../src/text/text-values.ts'

function faultsOf(env: Env): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

void test('an invalid setting is one line with its name and what it needs', async (t) => {
  const cases: [line: RegExp, env: Env][] = [
    [/^ENVIRONMENT: .*local, staging or production/, { ...local, ENVIRONMENT: 'prod' }],
    [/^ENVIRONMENT: must be set where HOST/, { SECRET_KEY, HOST: '0.0.0.0' }],
    [/^ENVIRONMENT: must be set where HOST/, { SECRET_KEY, HOST: 'myhost' }],
    [
      /^ENVIRONMENT: must be set where HOST or PUBLIC_URL/,
      { SECRET_KEY, PUBLIC_URL: 'https://api.example.com' },
    ],
    [/^LOG_LEVEL: one of/, { ...local, LOG_LEVEL: 'loud' }],
    [/^ACCESS_TOKEN_EXPIRE_MINUTES: a whole number from 1/, { ...local, ACCESS_TOKEN_EXPIRE_MINUTES: '0' }],
    [/^REFRESH_TOKEN_EXPIRE_DAYS: .* 180/, { ...local, REFRESH_TOKEN_EXPIRE_DAYS: '181' }],
    [/^DATABASE_POOL_SIZE: a whole number/, { ...local, DATABASE_POOL_SIZE: 'ten' }],
    [/^DATABASE_URL: /, { ...local, DATABASE_URL: 'not a url' }],
    [/^DATABASE_URL: .*postgres/, { ...local, DATABASE_URL: 'mysql://db/app' }],
    [/^MIGRATION_DATABASE_URL: /, { ...local, MIGRATION_DATABASE_URL: 'db' }],
    [/^PUBLIC_URL: /, { ...local, PUBLIC_URL: 'api.example.com' }],
    [/^FRONTEND_HOST: /, { ...local, FRONTEND_HOST: 'javascript:alert(1)' }],
    [/^SENTRY_DSN: /, { ...local, SENTRY_DSN: 'sentry' }],
    [/^BACKEND_CORS_ORIGINS: /, { ...local, BACKEND_CORS_ORIGINS: '*' }],
    [/^BACKEND_CORS_ORIGINS: /, { ...local, BACKEND_CORS_ORIGINS: 'null' }],
    [/^BACKEND_CORS_ORIGINS: /, { ...local, BACKEND_CORS_ORIGINS: '["https://a.example.com"' }],
    [/^BACKEND_CORS_ORIGINS: /, { ...local, BACKEND_CORS_ORIGINS: 'https://a.example.com,example.com' }],
    [/^TRUST_PROXY: /, { ...local, TRUST_PROXY: 'true' }],
    [/^TRUST_PROXY: /, { ...local, TRUST_PROXY: '10.0.0.0/33' }],
    [/^TRUST_PROXY: /, { ...local, TRUST_PROXY: '10.0.0.1, loopback' }],
    [/^FIRST_SUPERUSER: an email address/, { ...local, FIRST_SUPERUSER: 'admin' }],
    [/^EMAILS_FROM_EMAIL: an email address/, { ...local, ...smtp, EMAILS_FROM_EMAIL: 'Ada <a@b.co>' }],
    [/^EMAILS_FROM_EMAIL: needed with SMTP_HOST/, { ...local, SMTP_HOST: 'smtp.example.com' }],
    [/^SUPPORT_EMAIL: an email address/, { ...local, SUPPORT_EMAIL: 'help' }],
    [/^PROJECT_LOGO_URL: .* https:\/\/$/, { ...local, PROJECT_LOGO_URL: 'http://cdn.example.com/logo.png' }],
    [/^PROJECT_LOGO_URL: .* https:\/\/$/, { ...local, PROJECT_LOGO_URL: 'data:image/png;base64,AA' }],
    [/^PROJECT_LOGO_URL: .*user/, { ...local, PROJECT_LOGO_URL: 'https://me:pw@cdn.example.com/logo.png' }],
    [/^PROJECT_COLOR: # and six/, { ...local, PROJECT_COLOR: 'red' }],
    [/^PROJECT_COLOR: # and six/, { ...local, PROJECT_COLOR: '#abc' }],
    [/^PROJECT_COLOR: # and six/, { ...local, PROJECT_COLOR: '#0f6b5c;x' }],
    [/^COMPATIBILITY: fastapi-template is the only/, { ...local, COMPATIBILITY: 'django' }],
    [/^FRONTEND_DIR: there is no such folder/, { ...local, FRONTEND_DIR: '/nowhere/dist' }],
    [/^FRONTEND_DIR: must be a folder/, { ...local, FRONTEND_DIR: 'package.json' }],
    [/^FRONTEND_DIR: has no index\.html/, { ...local, FRONTEND_DIR: 'src' }],
    [/^FRONTEND_CSP: one line/, { ...local, FRONTEND_CSP: "default-src 'self'\r\nx: y" }],
    [/^ENVIRONMENT: must be set where FASTAPI_ENV/, { SECRET_KEY, FASTAPI_ENV: 'production' }],
    [/^SECRET_KEY: 32 bytes or more/, { ...production, SECRET_KEY: 'short' }],
    [/^SECRET_KEY_PREVIOUS: 32 bytes or more/, { ...production, SECRET_KEY_PREVIOUS: 'short' }],
    [
      /^SECRET_KEY_PREVIOUS: it is made of an example/,
      { ...production, SECRET_KEY_PREVIOUS: 'changethis'.repeat(4) },
    ],
    [
      /^SECRET_KEY_PREVIOUS: is the same as SECRET_KEY; put the new key into SECRET_KEY/,
      { ...production, SECRET_KEY_PREVIOUS: SECRET_KEY },
    ],
    [/^SECRET_KEY_PREVIOUS: is the same as SECRET_KEY/, { ...local, SECRET_KEY_PREVIOUS: SECRET_KEY }],
    [/^FIRST_SUPERUSER_PASSWORD: .*changethis/, { ...production, FIRST_SUPERUSER_PASSWORD: 'changethis' }],
    [/^FIRST_SUPERUSER_PASSWORD: 8 to 128/, { ...production, FIRST_SUPERUSER_PASSWORD: 'short' }],
    [/^SMTP_PASSWORD: .*changethis/, { ...production, SMTP_PASSWORD: 'changethis' }],
    [/^DATABASE_URL: needed in production/, { ...production, DATABASE_URL: '' }],
    [/^SECRET_KEY: needed in staging/, { ...production, ENVIRONMENT: 'staging', SECRET_KEY: '' }],
    [/^FRONTEND_HOST or PUBLIC_URL: one is needed while mail is on/, { ...production, ...smtp }],
  ]
  for (const [line, env] of cases) {
    const faults = faultsOf(env)
    t.match(faults, [line], JSON.stringify(env))
    t.equal(faults.length, 1, 'and only that')
  }
})

void test('all invalid settings are reported at once, without their values', async (t) => {
  const SECRET = 'hunter2:hunter2@hunter2/hunter2'
  const names = Object.keys(Environment.properties)
  const everything = Object.fromEntries(names.map((name) => [name, SECRET]))
  for (const env of [
    everything,
    { ...everything, ENVIRONMENT: 'production' },
    { ...everything, ENVIRONMENT: 'local' },
  ]) {
    const faults = faultsOf(env)
    t.ok(faults.length > 10)
    const { message } = new ConfigError(faults)
    t.equal(message.split('\n').length, faults.length + 1, 'a line each')
    t.notMatch(message, 'hunter2')
  }
  const missing = faultsOf({ ENVIRONMENT: 'production' }).map((line) => line.split(':')[0] ?? '')
  t.same(missing.toSorted(), ['DATABASE_URL', 'SECRET_KEY'])
})

void test('SECRET_KEY_PREVIOUS is one key: empty counts as unset, and a comma belongs to it', async (t) => {
  t.notHas(readConfig({ ...production, SECRET_KEY_PREVIOUS: ' ' }), { SECRET_KEY_PREVIOUS: /./ })
  const SECRET_KEY_PREVIOUS = 'G7t,Zq0v-Rr4k,9Lx2+Ww8m/Pp3c,Hh6n'
  t.match(readConfig({ ...production, SECRET_KEY_PREVIOUS }), { SECRET_KEY_PREVIOUS })
})

void test('flags and numbers are read strictly', async (t) => {
  for (const text of ['yes', 'on', '2', 'tru', 'null'])
    t.match(faultsOf({ ...local, SMTP_SSL: text }), [/^SMTP_SSL: true or false/], text)
  for (const text of ['eighty', '80.5', '0x50', '1e3', '-1', '65536', '80,81'])
    t.match(faultsOf({ ...local, PORT: text }), [/^PORT: a whole number from 0 to 65535/], text)
})

void test('outside local, a guessable SECRET_KEY is refused', async (t) => {
  const weak = [
    'a'.repeat(32),
    'é'.repeat(16),
    'abcdefgh'.repeat(8),
    'abcdefghijklmnopqrstuvwxyz0123456789',
    '0123456789abcdef'.repeat(4),
    '12345678901234567890123456789012',
    'Correct-Horse-7!'.repeat(3),
    'changethis'.repeat(4),
    'Change-This-please-1f8a9c0e7d6b5a43',
    'your-secret-key-here-1f8a9c0e7d6b5a43',
    'super_secret_1f8a9c0e7d6b5a431f8a9c0e',
    '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
    'a-string-secret-at-least-256-bits-long',
    'replace-with-a-long-random-string',
    'dev-secret-do-not-use-in-production',
    'your-jwt-secret-at-least-32-characters',
    '<output of openssl rand -base64 32>',
    '<1f8a9c0e-7d6b-5a43-1f8a-9c0e7d6b5a43>',
    '{{ .Values.api.signing.key.of.32.bytes }}',
    '${SIGNING_KEY_OF_THE_API_FROM_1PASSWORD}',
    '$(head -c 32 /dev/urandom | base64 -w0)',
    'qwertyuiopasdfghjklzxcvbnm1234567890',
    'QWERTYUIOPASDFGHJKLZXCVBNMqwertyuiop',
    '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/',
  ]
  for (const SECRET_KEY of weak) {
    const faults = faultsOf({ ...production, SECRET_KEY })
    t.match(faults, [/^SECRET_KEY: it .*openssl rand -base64 32$/], SECRET_KEY)
    t.equal(faults.length, 1)
    t.notMatch(faults.join(), SECRET_KEY)
    t.same(faultsOf({ ...local, SECRET_KEY }), [], 'in local, any text')
    t.match([...settingDoubts(readConfig({ ...local, SECRET_KEY }))], [/^SECRET_KEY is weak/])
  }
  t.match([...settingDoubts(readConfig({ ...local, SECRET_KEY: 'x' }))], [/^SECRET_KEY is weak.*32 bytes/])
  const previous = readConfig({ ...local, SECRET_KEY_PREVIOUS: 'x' })
  t.match([...settingDoubts(previous)], [/^SECRET_KEY_PREVIOUS is weak.*32 bytes/])
  const random = Array.from({ length: 5_000 }, () => randomBytes(32)).flatMap((bytes) =>
    (['base64', 'base64url', 'hex'] as const).map((how) => bytes.toString(how)),
  )
  for (const SECRET_KEY of random.slice(0, 600))
    t.same(faultsOf({ ...production, SECRET_KEY }), [], SECRET_KEY)
  t.same(
    random.filter((key) => weaknessOf(key) !== undefined),
    [],
    'no random key is refused',
  )
})

void test('outside local, "changethis" is refused as a password, also within a database URL', async (t) => {
  const known: Env[] = [
    { SMTP_PASSWORD: 'ChangeThis' },
    { FIRST_SUPERUSER_PASSWORD: ' changethis' },
    { DATABASE_URL: 'postgresql://postgres:changethis@db:5432/app' },
    { MIGRATION_DATABASE_URL: 'postgresql+psycopg://postgres:changethis@db/app' },
    { DATABASE_URL: 'postgresql://db/app?user=u&password=changethis' },
    { POSTGRES_SERVER: 'db', POSTGRES_PASSWORD: 'changethis', DATABASE_URL: '' },
  ]
  for (const env of known) {
    const faults = faultsOf({ ...production, ...env })
    t.match(faults, [/: "changethis" is known to everybody; choose another$/], JSON.stringify(env))
    t.match(faults[0], Object.keys(env)[0])
    t.equal(faults.length, 1)
  }
})

void test('a range of TRUST_PROXY that is too wide or malformed is refused', async (t) => {
  const all = ['0.0.0.0/0', '::/0', '10.0.0.1, ::ffff:0.0.0.0/96', '["0.0.0.0/0"]']
  const around = ['::/8', '::/64', '::1/80', '::ffff:0:0/95'] // every address of IPv4 is in them
  for (const TRUST_PROXY of [...all, ...around])
    for (const env of [local, production])
      t.match(faultsOf({ ...env, TRUST_PROXY }), [/^TRUST_PROXY: trusts everybody/], TRUST_PROXY)
  const many = [
    '0.0.0.0/1',
    '0.0.0.0/1,128.0.0.0/1',
    '2000::/3',
    '8.0.0.0/7',
    '::ffff:8.0.0.0/100',
    '8.0.0.0/8,9.0.0.0/8,12.0.0.0/8',
    '172.16.0.0/8,192.168.0.0/8',
  ]
  for (const TRUST_PROXY of many) {
    t.match(faultsOf({ ...production, TRUST_PROXY }), [/^TRUST_PROXY: trusts everybody/], TRUST_PROXY)
    t.same(faultsOf({ ...local, TRUST_PROXY }), [])
  }
  const own = [
    '10.0.0.0/8',
    '172.16.0.0/12,192.168.0.0/16',
    '127.0.0.1',
    '::1',
    '::ffff:10.0.0.0/104',
    'fe80::/10',
    'fc00::/7',
    '104.16.0.0/13',
    '2400:cb00::/32',
  ]
  for (const TRUST_PROXY of own) t.same(faultsOf({ ...production, TRUST_PROXY }), [], TRUST_PROXY)
  for (const TRUST_PROXY of [
    '10.0.0.0/255.0.0.0',
    '0x0a000001',
    '10.1',
    'fe80::1%eth0',
    '10.0.0.1/',
    '/8',
    '::1/129',
    '010.0.0.1',
  ])
    t.match(faultsOf({ ...local, TRUST_PROXY }), [/^TRUST_PROXY: each entry must be/], TRUST_PROXY)
})

void test('a setting that is unsafe but allowed is a warning at the start', async (t) => {
  const doubts = (env: Env) => [...settingDoubts(readConfig({ ...production, ...env }))]
  t.same(doubts({}), [], 'nothing to say')
  const unsafe: [line: RegExp, env: Env][] = [
    [/^RATE_LIMIT_ENABLED: /, { RATE_LIMIT_ENABLED: 'false' }],
    [/^PUBLIC_URL: .*plain HTTP/, { PUBLIC_URL: 'http://api.example.com' }],
    [/^FRONTEND_HOST: .*plain HTTP/, { FRONTEND_HOST: 'HTTP://app.example.com' }],
    [
      /^BACKEND_CORS_ORIGINS: http:\/\/app\.example\.com is plain/,
      { BACKEND_CORS_ORIGINS: 'http://app.example.com' },
    ],
    [/^TRUST_PROXY: many who are no proxy/, { TRUST_PROXY: '8.0.0.0/9' }],
    [/^TRUST_PROXY: many who are no proxy/, { TRUST_PROXY: '172.16.0.0/8' }],
    [/^TRUST_PROXY: many who are no proxy/, { TRUST_PROXY: '::ffff:192.168.0.0/104' }],
    [/^SMTP_TLS: false/, { ...smtp, PUBLIC_URL: 'https://a.example', SMTP_TLS: 'false' }],
  ]
  for (const [line, env] of unsafe) {
    t.match(doubts(env), [line], JSON.stringify(env))
    t.ok(doubts(env).every((text) => !text.includes('\n')))
  }
  const here = { PUBLIC_URL: 'http://localhost:8000', ...smtp, SMTP_HOST: '127.0.0.1', SMTP_TLS: 'false' }
  t.same(doubts(here), [], 'on this machine nobody is in between')
})

void test('ENVIRONMENT local at an address that others can reach is a warning at the start', async (t) => {
  for (const env of [{ HOST: '0.0.0.0' }, { PUBLIC_URL: 'https://api.example.com' }]) {
    t.same(faultsOf({ ...local, ...env }), [])
    const doubts = [...settingDoubts(readConfig({ ...local, ...env }))]
    t.match(doubts, [/^ENVIRONMENT: local lets whoever reaches .* set production$/], JSON.stringify(env))
    t.equal(doubts.length, 1)
  }
  for (const PUBLIC_URL of ['http://127.0.0.1:8000', 'http://api.localhost:8000', 'http://[::1]:8000']) {
    t.same(faultsOf({ SECRET_KEY, PUBLIC_URL }), [], PUBLIC_URL)
    t.same([...settingDoubts(readConfig({ SECRET_KEY, PUBLIC_URL }))], [], PUBLIC_URL)
  }
})

void test('a database URL on the internet without TLS is a warning at the start', async (t) => {
  const doubts = (env: Env) => [...settingDoubts(readConfig({ ...production, ...env }))]
  const line = /^\w+: passwords and rows can be read .*; add sslmode=verify-full$/
  for (const DATABASE_URL of [
    'postgres://u:hidden@db.example.com/app',
    'postgres://u:hidden@203.0.113.7.example/app?sslmode=disable',
    'postgres://u:hidden@db.example.com/app?sslmode=prefer',
    'postgres://u:hidden@8.8.8.8/app',
    'postgres://u:hidden@[2600::1]/app',
    'postgres://u:hidden@db,db.example.com/app',
  ]) {
    for (const name of ['DATABASE_URL', 'MIGRATION_DATABASE_URL']) {
      const told = doubts({ [name]: DATABASE_URL })
      t.match(told, [line], DATABASE_URL)
      t.match(told[0], new RegExp(`^${name}: `))
      t.equal(told.length, 1)
      t.notMatch(told.join(), /hidden|example/)
    }
    t.same([...settingDoubts(readConfig({ ...local, DATABASE_URL }))], [], 'local says nothing of it')
  }
  for (const DATABASE_URL of [
    'postgres://u:p@db.example.com/app?sslmode=verify-full',
    'postgres://u:p@db.example.com/app?sslmode=require',
    'postgres://u:p@db/app',
    'postgres://u:p@postgres.railway.internal/app',
    'postgres://u:p@db.default.svc.cluster.local/app',
    'postgres://u:p@127.0.0.1,localhost,[::1]/app',
    'postgres://u:p@10.1.2.3,192.168.1.2,172.16.0.1,100.64.0.1,[fd00::1]/app',
    'postgresql://u:p@/app?host=/cloudsql/a:b:c.d',
  ])
    t.same(doubts({ DATABASE_URL }), [], DATABASE_URL)
})

void test('a CORS origin that browsers send is accepted, one that can never match is refused', async (t) => {
  const allowed: [given: string, origin: string][] = [
    ['https://app.example.com', 'https://app.example.com'],
    ['https://APP.example.com/', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['http://[::1]:5173', 'http://[::1]:5173'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    ['app://com.example.app', 'app://com.example.app'],
    ['chrome-extension://abcdefghijklmnop', 'chrome-extension://abcdefghijklmnop'],
    [
      'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc',
      'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc',
    ],
  ]
  for (const [given, origin] of allowed)
    t.same(readConfig({ ...production, BACKEND_CORS_ORIGINS: given }).corsOrigins, [origin], given)
  const never = [
    '*',
    'null',
    'https://*',
    'https://*.example.com',
    'https://app.example.com/path',
    'https://app.example.com/?query',
    'https://app.example.com?query',
    'https://app.example.com#part',
    'https://user@app.example.com',
    'https://app.example.com:99999',
    'https://',
    'https:app.example.com',
    'app.example.com',
    'localhost:5173',
    'file:///index.html',
    'file://host',
    'data:text/html,x',
    'javascript://localhost',
    'ws://localhost',
    'capacitor://',
    'capacitor://localhost/path',
    'capacitor://localhost:',
  ]
  for (const origin of never)
    t.match(
      faultsOf({ ...local, BACKEND_CORS_ORIGINS: origin }),
      [/^BACKEND_CORS_ORIGINS: each entry/],
      origin,
    )
  for (const url of ['https://a.example/?x=1', 'https://a.example/#/app', 'https://u:p@a.example'])
    t.match(faultsOf({ ...local, FRONTEND_HOST: url }), [/^FRONTEND_HOST: no query/], url)
  for (const name of ['FRONTEND_HOST', 'PUBLIC_URL']) {
    const wrong: [url: string, line: RegExp][] = [
      ['https://a.example,https://b.example', /: one URL such as .*BACKEND_CORS_ORIGINS$/],
      ['https://*.example.com', /: one URL such as/],
      ['https:api.example.com', /: a URL is needed that begins with http/],
      ['https:/api.example.com', /: a URL is needed that begins with http/],
    ]
    for (const [url, line] of wrong) {
      const faults = faultsOf({ ...local, [name]: url })
      t.match(faults, [line], url)
      t.match(faults[0], name)
      t.equal(faults.length, 1, url)
    }
    for (const url of ['HTTPS://APP.example.com', 'https://[::1]:8443/a', 'https://münchen.example'])
      t.same(faultsOf({ ...local, [name]: url }), [], url)
  }
})

void test('an origin with ü is read correctly 20,000 times in a row', (t) => {
  for (let n = 0; n < 20_000; n += 1)
    if (originOf('https://münchen.example') === undefined) t.fail(`not the ${n}th time`)
  t.equal(originOf('https://münchen.example'), 'https://xn--mnchen-3ya.example')
  t.end()
})

void test('settings of identity providers are checked, and a mistyped one is told', (t) => {
  const named = (more: Env) => readConfig({ ...local, ...more }).oidc.map(({ name }) => name)
  const google = { OIDC_GOOGLE_ISSUER: 'https://accounts.google.com', OIDC_GOOGLE_CLIENT_ID: 'x' }
  t.same(named(google), ['google'])
  t.same(named({ OIDC_MY_IDP_2_ISSUER: 'http://localhost:9000', OIDC_MY_IDP_2_CLIENT_ID: 'x' }), ['my_idp_2'])
  t.same(faultsOf({ ...local, ...google, OIDC_GOOGLE_CLIENTSECRET: 'x' }), [
    'OIDC_GOOGLE_CLIENTSECRET: not known; OIDC_<NAME>_ISSUER, _CLIENT_ID, _CLIENT_SECRET, _SCOPES are, <NAME> in capital letters',
  ])
  t.same(faultsOf({ ...local, OIDC_GOOGLE_CLIENT_SECRET: 'hidden' }), [
    'OIDC_GOOGLE_CLIENT_ID: needed with the other settings of GOOGLE',
    'OIDC_GOOGLE_ISSUER: an https URL is needed, or http on this machine',
  ])
  for (const issuer of [
    'http://idp.example',
    'ftp://x',
    'https://a:b@idp.example',
    'https://idp.example?x',
    'idp',
  ])
    t.match(
      faultsOf({ ...local, ...google, OIDC_GOOGLE_ISSUER: issuer }),
      [/^OIDC_GOOGLE_ISSUER: an https URL/],
      issuer,
    )
  t.match(faultsOf({ ...local, ...google, OIDC_GOOGLE_SCOPES: 'email' }), [
    /^OIDC_GOOGLE_SCOPES: must have openid/,
  ])
  t.match(
    faultsOf({
      ...production,
      PUBLIC_URL: 'https://api.example.com',
      ...google,
      OIDC_GOOGLE_ISSUER: 'http://localhost:9000',
    }),
    [/^OIDC_GOOGLE_ISSUER/],
  )
  t.match(faultsOf({ ...production, ...google }), [/^PUBLIC_URL: needed with identity providers/])
  t.end()
})
