import type { Config } from './config.ts'
import { isLoopbackOnly, readDatabaseUrl } from './database/database-url.ts'
import { databaseUrlFault, isReachable } from './environment-faults.ts'
import { isLoopbackUrl, originOf } from '../text/text-values.ts'
import { weaknessOf } from './secrets/secret-strength.ts'
import { blockOf, breadthOf } from './trusted-blocks.ts'

/** Settings that work but are not safe: a warning each, at start and by the doctor. */
export function* settingDoubts(config: Config): Generator<string> {
  const { ADOPTED_SECRET_KEY, ENVIRONMENT } = config
  if (ADOPTED_SECRET_KEY !== undefined && shortOrWeak(ADOPTED_SECRET_KEY) !== undefined)
    yield 'ADOPTED_SECRET_KEY is weak: whoever guesses it acts as any user who was adopted, until the day that the adoption said; unset it then'
  if (ENVIRONMENT === 'local') {
    for (const name of ['SECRET_KEY', 'SECRET_KEY_PREVIOUS'] as const) {
      const key = config[name] ?? ''
      const weakness = shortOrWeak(key)
      if (key !== '' && weakness !== undefined)
        yield `${name} is weak, which local alone takes: it ${weakness}; make one with: openssl rand -base64 32`
    }
    if (isReachable(config))
      yield 'ENVIRONMENT: local lets whoever reaches HOST or PUBLIC_URL make users and read mails; where others do, set production'
    return
  }
  if (!config.RATE_LIMIT_ENABLED)
    yield 'RATE_LIMIT_ENABLED: false lets anybody try passwords without end, and mail to anybody'
  for (const name of ['PUBLIC_URL', 'FRONTEND_HOST'] as const)
    if (isPlainHttp(config[name]) && (name === 'PUBLIC_URL' || config[name] !== config.PUBLIC_URL))
      yield `${name}: links in plain HTTP show their tokens to whoever is in between; use https`
  for (const origin of config.corsOrigins)
    if (isPlainHttp(origin) && origin !== originOf(config.FRONTEND_HOST))
      yield `BACKEND_CORS_ORIGINS: ${origin} is plain HTTP: whoever is in between acts as that frontend; use https`
  for (const name of ['DATABASE_URL', 'MIGRATION_DATABASE_URL'] as const)
    if (isOpenToReaders(config[name]))
      yield `${name}: passwords and rows can be read on the way to its host, which is on no private network; add sslmode=verify-full`
  if (breadthOf(config.trustedProxies) === 'wide')
    yield 'TRUST_PROXY: many who are no proxy of yours are in its networks, and choose the address that they are limited by'
  if (
    config.mail === 'smtp' &&
    !config.SMTP_TLS &&
    !config.SMTP_SSL &&
    !isLoopbackUrl(`http://${config.SMTP_HOST}`)
  )
    yield 'SMTP_TLS: false: links in mails can be read on the way; set SMTP_TLS or SMTP_SSL to true'
}

const shortOrWeak = (secret: string) =>
  Buffer.byteLength(secret) < 32 ? 'has fewer than 32 bytes' : weaknessOf(secret)

/** Whether a connection may go over the internet without TLS. */
function isOpenToReaders(url: string | undefined): boolean {
  if (url === undefined || databaseUrlFault(url) !== undefined) return false
  const read = readDatabaseUrl(url)
  const mayBePlain = read.tls === 'none' || read.tls === 'where offered'
  return mayBePlain && !isLoopbackOnly(read) && read.hosts.some(isOfInternet)
}

/** Host names that don't resolve on the internet: without a dot, or with a suffix reserved for private use. */
const PRIVATE_NAME = /^[^.]+$|\.(?:internal|local|localhost|svc|home\.arpa)$/i

const isOfInternet = (host: string) => blockOf(host)?.isPublic ?? !PRIVATE_NAME.test(host)

const isPlainHttp = (url: string | undefined) =>
  url !== undefined && /^http:/i.test(url) && !isLoopbackUrl(url)
