import { isLoopbackUrl, urlOf } from '../../text/text-values.ts'
import type { Named } from '../environment.ts'

/** An identity provider that users may sign in with (OpenID Connect). */
export interface OidcProvider {
  /** In paths: OIDC_GOOGLE_ISSUER makes `google`. */
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  /** Undefined for a public client, which PKCE alone protects. */
  readonly clientSecret: string | undefined
  readonly scopes: string
}

/** What follows OIDC_<NAME>_, and what each means; docs and .env.example list them. */
export const oidcSettings = {
  ISSUER: 'an identity provider to sign in with: its issuer, an https URL',
  CLIENT_ID: 'what it calls this service',
  CLIENT_SECRET: 'its secret, if it gave one',
  SCOPES: 'what it is asked for; openid email profile where unset',
} as const

type Part = keyof typeof oidcSettings

const SETTING = /^OIDC_(.*)$/

/** Whether a name is one of a provider, or meant to be. */
export const isProviderSetting = (name: string) => SETTING.test(name)

const NAME = /^[A-Z](?:[A-Z0-9_]{0,30}[A-Z0-9])?$/
const parts = Object.keys(oidcSettings) as Part[]

/** Providers of the environment, and one line for each error. */
export function readProviders(
  env: Readonly<NodeJS.Dict<string>>,
  { ENVIRONMENT, PUBLIC_URL }: Pick<Named, 'ENVIRONMENT' | 'PUBLIC_URL'>,
): { providers: OidcProvider[]; faults: string[] } {
  const faults: string[] = []
  const given = new Map<string, Partial<Record<Part, string>>>()
  for (const [setting, text] of Object.entries(env)) {
    const rest = SETTING.exec(setting)?.[1]
    if (rest === undefined || text === undefined) continue
    const part = parts.find((ending) => rest.endsWith(`_${ending}`))
    const name = part && rest.slice(0, -part.length - 1)
    if (part === undefined || name === undefined || !NAME.test(name))
      faults.push(`${setting}: not known; OIDC_<NAME>_${parts.join(', _')} are, <NAME> in capital letters`)
    else given.set(name, { ...given.get(name), [part]: text })
  }
  const isLocal = ENVIRONMENT === 'local'
  const providers = [...given].map(([name, { ISSUER = '', CLIENT_ID = '', CLIENT_SECRET, SCOPES }]) => {
    if (CLIENT_ID === '') faults.push(`OIDC_${name}_CLIENT_ID: needed with the other settings of ${name}`)
    if (!isIssuer(ISSUER, isLocal))
      faults.push(`OIDC_${name}_ISSUER: an https URL is needed${isLocal ? ', or http on this machine' : ''}`)
    const scopes = SCOPES ?? 'openid email profile'
    if (!scopes.split(' ').includes('openid')) faults.push(`OIDC_${name}_SCOPES: must have openid among them`)
    return {
      name: name.toLowerCase(),
      issuer: ISSUER,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      scopes,
    }
  })
  if (providers.length > 0 && !isLocal && PUBLIC_URL === undefined)
    faults.push('PUBLIC_URL: needed with identity providers, as they send browsers back there')
  return { providers, faults }
}

function isIssuer(text: string, isLocal: boolean): boolean {
  const url = urlOf(text)
  if (url === undefined || url.search + url.hash + url.username + url.password !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLocal && isLoopbackUrl(text))
}
