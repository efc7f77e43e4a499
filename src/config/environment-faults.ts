import type { TSchema } from '@sinclair/typebox'
import type { Config } from './config.ts'
import { Environment, type Named } from './environment.ts'
import { isEmail, readEmail } from '../text/email-address.ts'
import { frontendDirFault } from './frontend-dir.ts'
import { DatabaseUrlError, readDatabaseUrl } from './database/database-url.ts'
import { weaknessOf } from './secrets/secret-strength.ts'
import { isLoopbackUrl, originOf, readList, readOrigin, urlOf } from '../text/text-values.ts'
import { blockOf, breadthOf } from './trusted-blocks.ts'

/** Checks beyond the schema: names that need each other, and values that are unsafe outside local. */
export function* environmentFaults(named: Named, env: Readonly<NodeJS.Dict<string>>): Generator<string> {
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    const given = named[name as keyof Named]
    const protocols = schema.url as string[] | undefined
    if (protocols && given !== undefined && !hasProtocol(String(given), protocols))
      yield `${name}: a URL is needed that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  }
  for (const origin of readList(named.BACKEND_CORS_ORIGINS))
    if (readOrigin(origin) === undefined)
      yield 'BACKEND_CORS_ORIGINS: each entry must be an origin such as https://app.example.com, without path or *'
  for (const name of ['PUBLIC_URL', 'FRONTEND_HOST'] as const) {
    const url = named[name] ?? ''
    if (/[?#@]/.test(url)) yield `${name}: no query, fragment or user can be in it, as paths follow it`
    else if (hasProtocol(url, ['http:', 'https:']) && readOrigin(originOf(url) ?? '') === undefined)
      yield `${name}: one URL such as https://app.example.com is needed, without * or comma; other frontends go into BACKEND_CORS_ORIGINS`
  }
  if (namesUser(named.PROJECT_LOGO_URL)) yield 'PROJECT_LOGO_URL: everybody reads it, so no user can be in it'
  if (!COLOR.test(named.PROJECT_COLOR))
    yield 'PROJECT_COLOR: # and six hexadecimal digits are needed, such as #0f6b5c'
  for (const name of ['DATABASE_URL', 'MIGRATION_DATABASE_URL'] as const) {
    const fault = databaseUrlFault(named[name])
    if (fault !== undefined) yield `${madeOf(name, env)}: ${fault}`
  }
  for (const proxy of readList(named.TRUST_PROXY))
    if (!blockOf(proxy))
      yield 'TRUST_PROXY: each entry must be an IP address or a CIDR block such as 10.0.0.0/8'
  const breadth = breadthOf(readList(named.TRUST_PROXY))
  if (breadth === 'all' || (breadth === 'many' && named.ENVIRONMENT !== 'local'))
    yield "TRUST_PROXY: trusts everybody to say which address they have; name the proxy's own addresses"
  if (named.METRICS_PORT !== undefined && named.METRICS_PORT === named.PORT)
    yield 'METRICS_PORT: must be another than PORT'
  if (!isEmail(readEmail(named.FIRST_SUPERUSER))) yield 'FIRST_SUPERUSER: an email address is needed'
  const passwordLength = [...(named.FIRST_SUPERUSER_PASSWORD ?? '')].length
  if (named.FIRST_SUPERUSER_PASSWORD !== undefined && (passwordLength < 8 || passwordLength > 128))
    yield 'FIRST_SUPERUSER_PASSWORD: 8 to 128 characters are needed'
  for (const name of ['EMAILS_FROM_EMAIL', 'SUPPORT_EMAIL'] as const) {
    const address = named[name]
    if (address !== undefined && !isEmail(readEmail(address))) yield `${name}: an email address is needed`
  }
  if (named.SMTP_HOST !== undefined && named.EMAILS_FROM_EMAIL === undefined)
    yield 'EMAILS_FROM_EMAIL: needed with SMTP_HOST'

  if (
    named.EMAIL_VERIFICATION === 'required' &&
    named.ENVIRONMENT !== 'local' &&
    named.SMTP_HOST === undefined
  )
    yield 'EMAIL_VERIFICATION: required needs mail; set SMTP_HOST'

  if (named.EMAIL_CHANGE === 'confirmed' && named.ENVIRONMENT !== 'local' && named.SMTP_HOST === undefined)
    yield 'EMAIL_CHANGE: confirmed needs mail; set SMTP_HOST'

  if (named.SECRET_KEY_PREVIOUS !== undefined && named.SECRET_KEY_PREVIOUS === named.SECRET_KEY)
    yield 'SECRET_KEY_PREVIOUS: is the same as SECRET_KEY; put the new key into SECRET_KEY, or unset SECRET_KEY_PREVIOUS'
  const frontendFault = named.FRONTEND_DIR && frontendDirFault(named.FRONTEND_DIR)
  if (frontendFault) yield `FRONTEND_DIR: ${frontendFault}`
  if (!/^[ -~]*$/.test(named.FRONTEND_CSP ?? '')) yield 'FRONTEND_CSP: one line of ASCII is needed'

  if (named.ENVIRONMENT === 'local') {
    // What the FastAPI template since 2026 says instead: taken for local, production would be open to everybody.
    if (env.ENVIRONMENT === undefined && !/^(?:|development)$/i.test(env.FASTAPI_ENV ?? ''))
      yield 'ENVIRONMENT: must be set where FASTAPI_ENV is not development (production, or local on purpose)'
    // Behind a proxy on the same machine, only PUBLIC_URL tells the public address.
    if (env.ENVIRONMENT === undefined && isReachable({ HOST: hostOf(named), PUBLIC_URL: named.PUBLIC_URL }))
      yield 'ENVIRONMENT: must be set where HOST or PUBLIC_URL is not loopback (production, or local on purpose)'
    return
  }
  if (named.DATABASE_URL === undefined) yield `DATABASE_URL: needed in ${named.ENVIRONMENT}`
  if (named.SECRET_KEY === undefined)
    yield `SECRET_KEY: needed in ${named.ENVIRONMENT}; make one with: openssl rand -base64 32`
  for (const [name, fix] of Object.entries(FIXES_OF_KEYS)) {
    const fault = keyFault(named[name as keyof typeof FIXES_OF_KEYS])
    if (fault !== undefined) yield `${name}: ${fault}; ${fix}`
  }
  for (const [name, given] of Object.entries(named))
    if (
      !name.endsWith('SECRET_KEY') &&
      !(name in FIXES_OF_KEYS) &&
      name !== 'POSTGRES_PASSWORD' &&
      isChangethis(secretIn(given))
    )
      yield `${madeOf(name, env)}: "changethis" is known to everybody; choose another`
  if (named.SMTP_HOST !== undefined && named.FRONTEND_HOST === undefined && named.PUBLIC_URL === undefined)
    yield 'FRONTEND_HOST or PUBLIC_URL: one is needed while mail is on, as links must lead somewhere'
}

const FIXES_OF_KEYS = {
  SECRET_KEY: 'make one with: openssl rand -base64 32',
  SECRET_KEY_PREVIOUS: 'name the SECRET_KEY from before the change as it was, or unset it',
}

function keyFault(key: string | undefined): string | undefined {
  if (key === undefined) return undefined
  if (Buffer.byteLength(key) < 32) return '32 bytes or more are needed'
  const weakness = weaknessOf(key)
  return weakness === undefined ? undefined : `it ${weakness}`
}

/** The name that a value was given by. */
const madeOf = (name: string, env: Readonly<NodeJS.Dict<string>>) =>
  name === 'DATABASE_URL' && env.DATABASE_URL === undefined && env.POSTGRES_SERVER !== undefined
    ? 'POSTGRES_SERVER and others'
    : name

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

/** Whether the service may be reachable from other machines. */
export const isReachable = ({ HOST, PUBLIC_URL }: Pick<Config, 'HOST' | 'PUBLIC_URL'>) =>
  !isLoopback(HOST) || (PUBLIC_URL !== undefined && !isLoopbackUrl(PUBLIC_URL))

/** Where the service listens. */
export const hostOf = (named: Named) =>
  named.HOST ?? (named.ENVIRONMENT === 'local' ? '127.0.0.1' : '0.0.0.0')

export function databaseUrlFault(url: string | undefined): string | undefined {
  try {
    if (url !== undefined) readDatabaseUrl(url)
    return undefined
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.message
    throw error
  }
}

const COLOR = /^#[\da-f]{6}$/i

function namesUser(text: string | undefined): boolean {
  const url = urlOf(text)
  return url !== undefined && url.username + url.password !== ''
}

const isChangethis = (text: string) => text.trim().toLowerCase() === 'changethis'

/** The password in a database URL. */
function secretIn(given: unknown): string {
  const text = String(given)
  return text.startsWith('postgres') && databaseUrlFault(text) === undefined
    ? readDatabaseUrl(text).password
    : text
}

/** Compares the text, as parsers differ on `https:name`. */
const hasProtocol = (url: string, protocols: readonly string[]) =>
  urlOf(url) !== undefined && protocols.some((protocol) => url.toLowerCase().startsWith(`${protocol}//`))
