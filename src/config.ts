import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isIP } from 'node:net'
import { parseEnv } from 'node:util'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { readText } from './text-values.ts'

/**
 * The environment: the only reader of process.env. What is not right stops the start, with one line for each fault.
 * README's table of names is checked against this schema.
 */

const Flag = (description: string, fallback: boolean) => Type.Boolean({ description, default: fallback })
const Setting = (description: string, options: object = {}) =>
  Type.Optional(Type.String({ description, ...options }))
const Count = (description: string, fallback: number, maximum: number, minimum = 1) =>
  Type.Integer({ description, default: fallback, minimum, maximum })

export const Environment = Type.Object({
  ENVIRONMENT: Type.Union([Type.Literal('local'), Type.Literal('staging'), Type.Literal('production')], {
    description: 'local, staging or production',
    default: 'local',
  }),
  PROJECT_NAME: Type.String({ description: 'in titles and mails', default: 'Groundwork' }),
  HOST: Setting('address to listen on; 127.0.0.1 in local, else 0.0.0.0'),
  PORT: Count('port to listen on', 8000, 65_535, 0),
  PUBLIC_URL: Setting('where people reach this service; http://localhost:PORT in local', { url: true }),
  FRONTEND_HOST: Setting('the frontend: links in mails lead there, and CORS allows it', { url: true }),
  BACKEND_CORS_ORIGINS: Setting('more origins allowed by CORS: comma-separated or a JSON list'),
  TRUST_PROXY: Setting('proxies whose X-Forwarded-For counts: addresses or CIDR blocks, comma-separated'),
  DATABASE_URL: Setting('PostgreSQL 15 or later; unset in local: the embedded database', { url: true }),
  MIGRATION_DATABASE_URL: Setting('a direct connection, where DATABASE_URL leads to a pooler', { url: true }),
  DATABASE_POOL_SIZE: Count('connections to PostgreSQL at most', 10, 1000),
  DATA_DIR: Type.String({
    description: 'folder of the embedded database and the local secret',
    default: 'data',
  }),
  SECRET_KEY: Setting('signs access tokens; 32 bytes or more; made once in local'),
  FIRST_SUPERUSER: Type.String({ description: 'made at start where missing', default: 'admin@example.com' }),
  FIRST_SUPERUSER_PASSWORD: Type.String({ description: 'its password at first', default: 'changethis' }),
  ACCESS_TOKEN_EXPIRE_MINUTES: Count('life of an access token', 60, 527_040),
  REFRESH_TOKEN_EXPIRE_DAYS: Count('a session ends that long after its last refresh', 30, 180),
  EMAIL_RESET_TOKEN_EXPIRE_HOURS: Count('life of a recovery link', 1, 8784),
  EMAIL_VERIFY_TOKEN_EXPIRE_HOURS: Count('life of a welcome link', 48, 8784),
  SMTP_HOST: Setting('mail server; unset: local keeps mails to itself, elsewhere mail is off'),
  SMTP_PORT: Count('its port', 587, 65_535),
  SMTP_USER: Setting('its user'),
  SMTP_PASSWORD: Setting('its password'),
  SMTP_TLS: Flag('STARTTLS', true),
  SMTP_SSL: Flag('TLS from the first byte', false),
  EMAILS_FROM_EMAIL: Setting('sender of mails; needed with SMTP_HOST'),
  EMAILS_FROM_NAME: Setting("the sender's name; PROJECT_NAME where unset"),
  SENTRY_DSN: Setting('errors are reported there, outside local', { url: true }),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { description: 'fatal, error, warn, info, debug, trace or silent', default: 'info' },
  ),
  DOCS_ENABLED: Type.Optional(
    Type.Boolean({ description: '/docs and openapi.json; true, in production false' }),
  ),
})

type Named = Static<typeof Environment>

/** The settings of one process, checked and complete. Names are those of the environment. */
export interface Config extends Omit<Named, 'HOST' | 'PUBLIC_URL' | 'SECRET_KEY' | 'DOCS_ENABLED'> {
  readonly HOST: string
  readonly PUBLIC_URL: string | undefined
  readonly SECRET_KEY: string
  readonly DOCS_ENABLED: boolean
  /** Where mails go: to a server, into the database alone (local), or they are not made. */
  readonly mail: 'smtp' | 'inbox' | 'off'
  /** What links in mails begin with. */
  readonly linkBase: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
}

/** Every fault of the environment, a line each. */
export class ConfigError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(['The environment is not right:', ...faults.map((fault) => `  - ${fault}`)].join('\n'))
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads the process's environment, and `.env` in the working folder for names that it lacks.
 *
 * @throws ConfigError
 */
export function loadConfig(): Config {
  const file = existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {}
  return readConfig({ ...present(file), ...present(process.env) })
}

/** Empty counts as unset. */
const present = (env: NodeJS.Dict<string>) =>
  Object.fromEntries(Object.entries(env).filter(([, text]) => text !== undefined && text.trim() !== ''))

/**
 * Checks an environment and completes it. In local, makes the secret in DATA_DIR on the first call.
 *
 * @throws ConfigError
 */
export function readConfig(env: Readonly<NodeJS.Dict<string>>): Config {
  const named = readNamed(env)
  const faults = [...faultsOfValues(named, env)]
  if (faults.length > 0) throw new ConfigError(faults)

  const local = named.ENVIRONMENT === 'local'
  const PUBLIC_URL = trimmed(named.PUBLIC_URL ?? (local ? `http://localhost:${named.PORT}` : undefined))
  const FRONTEND_HOST = trimmed(named.FRONTEND_HOST)
  return {
    ...named,
    HOST: hostOf(named),
    PUBLIC_URL,
    SECRET_KEY: named.SECRET_KEY ?? localSecret(named.DATA_DIR),
    DOCS_ENABLED: named.DOCS_ENABLED ?? named.ENVIRONMENT !== 'production',
    mail: named.SMTP_HOST !== undefined ? 'smtp' : local ? 'inbox' : 'off',
    linkBase: FRONTEND_HOST ?? PUBLIC_URL ?? '',
    corsOrigins: [
      ...new Set([FRONTEND_HOST, ...list(named.BACKEND_CORS_ORIGINS)].flatMap((url) => originOf(url) ?? [])),
    ],
    trustedProxies: list(named.TRUST_PROXY),
  }
}

const hostOf = (named: Named) => named.HOST ?? (named.ENVIRONMENT === 'local' ? '127.0.0.1' : '0.0.0.0')
const trimmed = <T extends string | undefined>(url: T) => url?.replace(/\/+$/, '') as T

/** @throws ConfigError naming every value that does not fit its schema */
function readNamed(env: Readonly<NodeJS.Dict<string>>): Named {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    const text = env[name]
    values[name] = text?.trim() ? readText(schema, text) : schema.default
    if (values[name] === undefined) delete values[name]
  }
  const wrong = new Set([...Value.Errors(Environment, values)].map((error) => error.path.split('/')[1]!))
  if (wrong.size > 0) throw new ConfigError([...wrong].map((name) => `${name}: ${expectation(name)}`))
  return values as Named
}

/** What a value must be; the value itself is not repeated, as it may be a secret. */
function expectation(name: string): string {
  const schema = Environment.properties[name as keyof typeof Environment.properties] as TSchema
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum} is needed`
  if (schema.type === 'boolean') return 'true or false (or 1 or 0) is needed'
  return `one of ${schema.description} is needed`
}

/** What a schema cannot say: names that need each other, and what is not safe outside local. */
function* faultsOfValues(named: Named, env: Readonly<NodeJS.Dict<string>>): Generator<string> {
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    if (
      schema.url &&
      named[name as keyof Named] !== undefined &&
      !URL.canParse(String(named[name as keyof Named]))
    )
      yield `${name}: a URL is needed`
  }
  for (const origin of list(named.BACKEND_CORS_ORIGINS))
    if (!originOf(origin))
      yield 'BACKEND_CORS_ORIGINS: each entry must be an origin such as https://app.example.com'
  for (const proxy of list(named.TRUST_PROXY))
    if (!isNetwork(proxy))
      yield 'TRUST_PROXY: each entry must be an IP address or a CIDR block such as 10.0.0.0/8'
  if (!isAddress(named.FIRST_SUPERUSER)) yield 'FIRST_SUPERUSER: an email address is needed'
  if (named.EMAILS_FROM_EMAIL !== undefined && !isAddress(named.EMAILS_FROM_EMAIL))
    yield 'EMAILS_FROM_EMAIL: an email address is needed'
  if (named.SMTP_HOST !== undefined && named.EMAILS_FROM_EMAIL === undefined)
    yield 'EMAILS_FROM_EMAIL: needed with SMTP_HOST'
  if (named.SECRET_KEY !== undefined && Buffer.byteLength(named.SECRET_KEY) < 32)
    yield 'SECRET_KEY: 32 bytes or more are needed; make one with: openssl rand -base64 32'

  if (named.ENVIRONMENT === 'local') {
    if (env.ENVIRONMENT === undefined && !isLoopback(hostOf(named)))
      yield 'ENVIRONMENT: must be set where HOST is not a loopback address (production, or local on purpose)'
    return
  }
  if (named.DATABASE_URL === undefined) yield `DATABASE_URL: needed in ${named.ENVIRONMENT}`
  if (named.SECRET_KEY === undefined)
    yield `SECRET_KEY: needed in ${named.ENVIRONMENT}; make one with: openssl rand -base64 32`
  if (env.FIRST_SUPERUSER === undefined) yield `FIRST_SUPERUSER: needed in ${named.ENVIRONMENT}`
  if (env.FIRST_SUPERUSER_PASSWORD === undefined)
    yield `FIRST_SUPERUSER_PASSWORD: needed in ${named.ENVIRONMENT}`
  for (const name of ['SECRET_KEY', 'FIRST_SUPERUSER_PASSWORD', 'SMTP_PASSWORD'] as const)
    if (env[name] === 'changethis') yield `${name}: "changethis" is known to everybody; choose another`
  if (named.SMTP_HOST !== undefined && named.FRONTEND_HOST === undefined && named.PUBLIC_URL === undefined)
    yield 'FRONTEND_HOST or PUBLIC_URL: one is needed while mail is on, as links must lead somewhere'
}

const isAddress = (text: string) => /^[^\s@<>,;"]+@[^\s@<>,;"]+$/.test(text)
const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1
  return (
    rest.length === 0 && bits > 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && +prefix <= bits))
  )
}

/** A comma-separated or JSON list. */
function list(text: string | undefined): string[] {
  if (text === undefined) return []
  const parts: unknown[] = text.startsWith('[') ? jsonList(text) : text.split(',')
  return parts.map((part) => String(part).trim()).filter((part) => part !== '')
}

function jsonList(text: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? parsed : [text]
  } catch {
    return [text]
  }
}

/** The origin of a URL, as browsers send it; undefined where there is none. */
function originOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  return origin === 'null' ? undefined : origin
}

/** The secret of a local installation: made once, kept beside the embedded database, readable by its owner alone. */
function localSecret(dataDir: string): string {
  const path = join(dataDir, 'secret')
  mkdirSync(dataDir, { recursive: true })
  try {
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(path, 'utf8')
}
