import { isIP } from 'node:net'
import type { TSchema } from '@sinclair/typebox'
import { Environment, type Named } from './environment.ts'
import { isEmail } from './email-address.ts'
import { originOf, readList } from './text-values.ts'

/** What a schema cannot say: names that need each other, and what is not safe outside local. */
export function* environmentFaults(named: Named, env: Readonly<NodeJS.Dict<string>>): Generator<string> {
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    const given = named[name as keyof Named]
    const protocols = schema.url as string[] | undefined
    if (protocols && given !== undefined && !hasProtocol(String(given), protocols))
      yield `${name}: a URL is needed that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  }
  for (const origin of readList(named.BACKEND_CORS_ORIGINS))
    if (!originOf(origin))
      yield 'BACKEND_CORS_ORIGINS: each entry must be an origin such as https://app.example.com'
  for (const proxy of readList(named.TRUST_PROXY))
    if (!isNetwork(proxy))
      yield 'TRUST_PROXY: each entry must be an IP address or a CIDR block such as 10.0.0.0/8'
  if (!isEmail(named.FIRST_SUPERUSER)) yield 'FIRST_SUPERUSER: an email address is needed'
  const passwordLength = [...named.FIRST_SUPERUSER_PASSWORD].length
  if (passwordLength < 8 || passwordLength > 128)
    yield 'FIRST_SUPERUSER_PASSWORD: 8 to 128 characters are needed'
  if (named.EMAILS_FROM_EMAIL !== undefined && !isEmail(named.EMAILS_FROM_EMAIL))
    yield 'EMAILS_FROM_EMAIL: an email address is needed'
  if (named.SMTP_HOST !== undefined && named.EMAILS_FROM_EMAIL === undefined)
    yield 'EMAILS_FROM_EMAIL: needed with SMTP_HOST'
  if (named.SECRET_KEY !== undefined && Buffer.byteLength(named.SECRET_KEY) < 32)
    yield 'SECRET_KEY: 32 bytes or more are needed; make one with: openssl rand -base64 32'

  if (
    named.EMAIL_VERIFICATION === 'required' &&
    named.ENVIRONMENT !== 'local' &&
    named.SMTP_HOST === undefined
  )
    yield 'EMAIL_VERIFICATION: required needs mail; set SMTP_HOST'

  if (named.ENVIRONMENT === 'local') {
    if (env.ENVIRONMENT === undefined && !isLoopback(hostOf(named)))
      yield 'ENVIRONMENT: must be set where HOST is not a loopback address (production, or local on purpose)'
    return
  }
  if (named.DATABASE_URL === undefined) yield `DATABASE_URL: needed in ${named.ENVIRONMENT}`
  if (named.SECRET_KEY === undefined)
    yield `SECRET_KEY: needed in ${named.ENVIRONMENT}; make one with: openssl rand -base64 32`
  for (const [name, given] of Object.entries(named))
    if (given === 'changethis') yield `${name}: "changethis" is known to everybody; choose another`
  if (named.SMTP_HOST !== undefined && named.FRONTEND_HOST === undefined && named.PUBLIC_URL === undefined)
    yield 'FRONTEND_HOST or PUBLIC_URL: one is needed while mail is on, as links must lead somewhere'
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

/** Where the service listens. */
export const hostOf = (named: Named) =>
  named.HOST ?? (named.ENVIRONMENT === 'local' ? '127.0.0.1' : '0.0.0.0')

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1
  return (
    rest.length === 0 && bits > 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && +prefix <= bits))
  )
}

const hasProtocol = (url: string, protocols: readonly string[]) =>
  URL.canParse(url) && protocols.includes(new URL(url).protocol)
