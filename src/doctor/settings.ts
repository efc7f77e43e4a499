import type { Config } from '../config/config.ts'
import { partyOf } from '../accounts/passkeys/webauthn.ts'
import { settingDoubts } from '../config/setting-doubts.ts'
import { profileText } from '../config/sources/profiles.ts'
import { isLoopbackUrl } from '../text/text-values.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

/** Checks of the environment alone. */
export function* settingsFindings(config: Config, faults: readonly string[]): Generator<Finding> {
  if (faults.length === 0) yield fine('environment', `${config.ENVIRONMENT}; every name is right`)
  for (const fault of faults) {
    const [name = '', ...words] = fault.split(': ')
    yield wrong('environment', name, words.join(': '))
  }
  for (const doubt of settingDoubts(config)) {
    const [name = '', ...words] = doubt.split(': ')
    yield doubtful('environment', name, words.join(': '))
  }
  if (config.unusedNames.length > 0)
    yield fine('environment', `names of .env that mean nothing here: ${config.unusedNames.join(', ')}`)
  if (config.COMPATIBILITY !== undefined) yield fine('profile', profileText(config))
  if (config.FRONTEND_DIR !== undefined)
    yield fine(
      'frontend',
      `served from FRONTEND_DIR; links in mails lead to ${config.FRONTEND_HOST ?? 'nowhere'}`,
    )
  yield secretFinding(config)
  yield* corsFindings(config)
  yield passkeysFinding(config)
  yield* proxyFindings(config)
}

function secretFinding({ SECRET_KEY, ENVIRONMENT }: Config): Finding {
  if (SECRET_KEY !== '') return fine('secret', `${Buffer.byteLength(SECRET_KEY)} bytes`)
  return ENVIRONMENT === 'local'
    ? fine('secret', 'made at the first start, in DATA_DIR')
    : wrong('secret', 'SECRET_KEY is not set', 'openssl rand -base64 32')
}

function* corsFindings({ corsOrigins }: Config): Generator<Finding> {
  if (corsOrigins.length === 0) yield fine('cors', 'no frontend on another origin')
  else yield fine('cors', `allowed: ${corsOrigins.join(', ')}`)
}

/** Passkeys are bound to the name of a host, and browsers know them over https alone, or on localhost. */
function passkeysFinding(config: Config): Finding {
  const { id, origin = '' } = partyOf(config) ?? {}
  if (id === undefined)
    return doubtful(
      'passkeys',
      'neither FRONTEND_HOST nor PUBLIC_URL has the name of a host, so nobody can add one',
      'set one of them to where people are',
    )
  if (!origin.startsWith('https:') && !isLoopbackUrl(origin))
    return doubtful('passkeys', `browsers know none at ${origin}`, 'use https')
  return fine('passkeys', `those of ${id}, at ${origin}`)
}

function* proxyFindings({ trustedProxies, ENVIRONMENT }: Config): Generator<Finding> {
  if (trustedProxies.length > 0)
    yield fine('proxy', `X-Forwarded-For counts from ${trustedProxies.join(', ')}`)
  else if (ENVIRONMENT === 'local') yield fine('proxy', 'none')
  else
    yield doubtful(
      'proxy',
      'TRUST_PROXY is not set',
      'behind a proxy all clients share its address and its limits; name it, or ignore this where there is none',
    )
}
