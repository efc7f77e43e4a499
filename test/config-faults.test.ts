import { test } from 'tap'
import { ConfigError, readConfig } from '../src/config.ts'
import { Environment } from '../src/environment.ts'
import { type Env, SECRET_KEY, local, production, smtp } from './support/environments.ts'

function faultsOf(env: Env): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

void test('each fault is a line that names what is needed', async (t) => {
  const cases: [line: RegExp, env: Env][] = [
    [/^ENVIRONMENT: .*local, staging or production/, { ...local, ENVIRONMENT: 'prod' }],
    [/^ENVIRONMENT: must be set where HOST/, { SECRET_KEY, HOST: '0.0.0.0' }],
    [/^ENVIRONMENT: must be set where HOST/, { SECRET_KEY, HOST: 'myhost' }],
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
    [/^SECRET_KEY: 32 bytes or more/, { ...local, SECRET_KEY: 'k'.repeat(31) }],
    [/^SECRET_KEY: 32 bytes or more/, { ...production, SECRET_KEY: 'short' }],
    [/^FIRST_SUPERUSER_PASSWORD: .*changethis/, { ...production, FIRST_SUPERUSER_PASSWORD: 'changethis' }],
    [/^FIRST_SUPERUSER_PASSWORD: /, { ...production, FIRST_SUPERUSER_PASSWORD: '' }],
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

void test('all faults are told at once, and no value with them', async (t) => {
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
  t.same(missing.toSorted(), ['DATABASE_URL', 'FIRST_SUPERUSER_PASSWORD', 'SECRET_KEY'])
})

void test('flags and numbers are read strictly', async (t) => {
  for (const text of ['yes', 'on', '2', 'tru', 'null'])
    t.match(faultsOf({ ...local, SMTP_SSL: text }), [/^SMTP_SSL: true or false/], text)
  for (const text of ['eighty', '80.5', '0x50', '1e3', '-1', '65536', '80,81'])
    t.match(faultsOf({ ...local, PORT: text }), [/^PORT: a whole number from 0 to 65535/], text)
})
