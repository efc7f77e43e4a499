import type { Config } from './config.ts'
import { isReachable } from './environment-faults.ts'
import { isLoopbackUrl, originOf } from './text-values.ts'
import { weaknessOf } from './secret-strength.ts'
import { breadthOf } from './trusted-blocks.ts'

/** What works and is not safe: told at start, a line each, and by the doctor. What must not be stops the start. */
export function* settingDoubts(config: Config): Generator<string> {
  const { SECRET_KEY, ENVIRONMENT } = config
  if (ENVIRONMENT === 'local') {
    const weakness = Buffer.byteLength(SECRET_KEY) < 32 ? 'has fewer than 32 bytes' : weaknessOf(SECRET_KEY)
    if (SECRET_KEY !== '' && weakness !== undefined)
      yield `SECRET_KEY: weak, which local alone takes: it ${weakness}; make one with: openssl rand -base64 32`
    if (isReachable(config))
      yield 'ENVIRONMENT: local lets whoever reaches HOST or PUBLIC_URL make users and read mails; where others do, set production'
    return
  }
  if (!config.RATE_LIMIT_ENABLED)
    yield 'RATE_LIMIT_ENABLED: false lets anybody try passwords without end, and mail to anybody'
  for (const name of ['PUBLIC_URL', 'FRONTEND_HOST'] as const)
    if (isPlainHttp(config[name]))
      yield `${name}: links in plain HTTP show their tokens to whoever is in between; use https`
  for (const origin of config.corsOrigins)
    if (isPlainHttp(origin) && origin !== originOf(config.FRONTEND_HOST))
      yield `BACKEND_CORS_ORIGINS: ${origin} is plain HTTP: whoever is in between acts as that frontend; use https`
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

const isPlainHttp = (url: string | undefined) =>
  url !== undefined && /^http:/i.test(url) && !isLoopbackUrl(url)
