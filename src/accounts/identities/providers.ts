import type * as client from 'openid-client'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { OidcProvider } from '../../config/sources/oidc.ts'
import { ProviderNotFound, ProviderUnavailable } from '../../contract/errors.ts'
import { isEmail, readEmail } from '../../text/email-address.ts'

/**
 * Identity providers, by openid-client, which is loaded when somebody first goes to one. A provider is asked for its endpoints
 * then, and again a day later; one that is away is refused by itself, and asked again at the next try.
 */
export interface Providers {
  /** Where the browser is sent, and what it must come back with. @throws ProviderNotFound, ProviderUnavailable */
  begin(name: string, state: string): Promise<{ url: string; nonce: string; code_verifier: string }>
  /**
   * Who came back.
   *
   * @param query of the callback, as it was sent
   * @throws ProviderNotFound, ProviderUnavailable; ProviderRefused where the answer is none of this provider's to this browser
   */
  finish(name: string, query: string, checks: Checks): Promise<Vouched>
}

/** What was remembered when the browser was sent off. */
interface Checks {
  readonly state: string
  readonly nonce: string
  readonly code_verifier: string
}

/** What a provider says of somebody. Issuer and subject say who it is; an address is kept by people, and changes hands. */
export interface Vouched {
  readonly issuer: string
  readonly subject: string
  /** Where the provider says that it is theirs (`email_verified` is exactly true, and not the text). */
  readonly email: string | null
  readonly full_name: string | null
}

/** Why a provider's answer was refused; for the audit and the log alone. */
export class ProviderRefused extends Error {
  readonly reason: string
  constructor(reason: string) {
    super(`an identity provider's answer was refused: ${reason}`)
    this.name = 'ProviderRefused'
    this.reason = reason
  }
}

/** Each of up to four requests of a sign-in; the deadline of an answer (http/deadline.ts) bounds all of them. */
const TIMEOUT_SECONDS = 3
const ENDPOINTS_MS = 24 * 60 * 60 * 1000
/** Of a subject (OpenID Connect Core, 2), an address, and a name. */
const MOST_LENGTH = 255

export function providers(
  config: Pick<Config, 'oidc' | 'PUBLIC_URL'>,
  log: Pick<FastifyBaseLogger, 'warn'>,
): Providers {
  const known = new Map(config.oidc.map((provider) => [provider.name, provider]))
  const found = new Map<string, { at: number; endpoints: Promise<client.Configuration> }>()
  const callback = (name: string) => `${config.PUBLIC_URL}${callbackPath(name)}`

  async function endpointsOf(provider: OidcProvider): Promise<client.Configuration> {
    const earlier = found.get(provider.name)
    // Kept where it is under way, too: of many who come at once, one asks.
    if (earlier && Date.now() - earlier.at < ENDPOINTS_MS) return earlier.endpoints
    const endpoints = discover(provider).catch((error: unknown) => {
      found.delete(provider.name)
      throw away(provider.name, error)
    })
    found.set(provider.name, { at: Date.now(), endpoints })
    return endpoints
  }

  /** To be told apart from a service that is down: the log says why. */
  function away(provider: string, error: unknown) {
    log.warn({ provider, reason: reasonOf(error) }, 'an identity provider does not answer')
    return new ProviderUnavailable()
  }

  function named(name: string): OidcProvider {
    const provider = known.get(name)
    if (!provider) throw new ProviderNotFound()
    return provider
  }

  return {
    async begin(name, state) {
      const provider = named(name)
      const oidc = await import('openid-client')
      const endpoints = await endpointsOf(provider)
      const [nonce, code_verifier] = [oidc.randomNonce(), oidc.randomPKCECodeVerifier()]
      const url = oidc.buildAuthorizationUrl(endpoints, {
        redirect_uri: callback(name),
        scope: provider.scopes,
        state,
        nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(code_verifier),
        code_challenge_method: 'S256',
      })
      return { url: url.href, nonce, code_verifier }
    },

    async finish(name, query, { state, nonce, code_verifier }) {
      const provider = named(name)
      const oidc = await import('openid-client')
      const endpoints = await endpointsOf(provider)
      try {
        const tokens = await oidc.authorizationCodeGrant(endpoints, new URL(`${callback(name)}?${query}`), {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: code_verifier,
          idTokenExpected: true,
        })
        const claims = tokens.claims()!
        if (claims.iss !== endpoints.serverMetadata().issuer) throw new ProviderRefused('issuer')
        const isToldElsewhere =
          (claims.email === undefined || claims.email_verified === undefined) &&
          endpoints.serverMetadata().userinfo_endpoint !== undefined
        // Address and whether it is verified come from one of the two.
        const profile = isToldElsewhere
          ? await oidc.fetchUserInfo(endpoints, tokens.access_token, claims.sub)
          : claims
        return vouchedIn(claims, profile)
      } catch (error) {
        if (error instanceof ProviderRefused) throw error
        throw isAway(error) ? away(name, error) : new ProviderRefused(reasonOf(error))
      }
    },
  }
}

/** Where browsers go to a provider. */
export const providerPath = (name: string) => `/api/v1/login/oidc/${name}`

/** Under which a provider sends browsers back, and their cookies are sent. */
export const callbackPath = (name: string) => `${providerPath(name)}/callback`

/** What a provider says of itself. @throws where it does not answer, or calls itself by another name */
export async function discover({
  issuer,
  clientId,
  clientSecret,
}: OidcProvider): Promise<client.Configuration> {
  const oidc = await import('openid-client')
  // Signatures of ID tokens are verified, as they are not by default.
  const endpoints = await oidc.discovery(
    new URL(issuer),
    clientId,
    undefined,
    authentication(oidc, clientSecret),
    {
      timeout: TIMEOUT_SECONDS,
      execute: [
        oidc.enableNonRepudiationChecks,
        ...(issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : []),
      ],
    },
  )
  // openid-client asks for that, but leaves some of Microsoft's out, whose issuer would be anybody's.
  if (new URL(endpoints.serverMetadata().issuer).href !== new URL(issuer).href)
    throw new ProviderRefused('another issuer')
  return endpoints
}

/** In the body, where the provider takes it so: in the header, providers disagree on how to encode it. */
function authentication(oidc: typeof client, secret: string | undefined): client.ClientAuth {
  if (secret === undefined) return oidc.None()
  const [inBody, inHeader] = [oidc.ClientSecretPost(secret), oidc.ClientSecretBasic(secret)]
  return (server, ...rest) => {
    const takesBody = server.token_endpoint_auth_methods_supported?.includes('client_secret_post') ?? false
    return (takesBody ? inBody : inHeader)(server, ...rest)
  }
}

function vouchedIn({ iss, sub }: client.IDToken, profile: Readonly<Record<string, unknown>>): Vouched {
  const { email, email_verified, name } = profile
  if (typeof sub !== 'string' || sub.length > MOST_LENGTH || sub.includes('\0'))
    throw new ProviderRefused('subject')
  const address = typeof email === 'string' && email_verified === true ? readEmail(email) : ''
  return {
    issuer: iss,
    subject: sub,
    email: address.length <= MOST_LENGTH && isEmail(address) ? address : null,
    full_name: typeof name === 'string' ? nameOf(name) : null,
  }
}

/** What PostgreSQL keeps. */
const nameOf = (text: string) => [...text.replaceAll('\0', '')].slice(0, MOST_LENGTH).join('')

/** fetch says TypeError for a server that can't be reached. */
function isAway(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  const isDown = cause instanceof Response && cause.status >= 500
  return isDown || code === 'OAUTH_TIMEOUT' || error instanceof TypeError
}

/** What went wrong, without what was sent: that may hold codes and tokens. */
export function reasonOf(error: unknown): string {
  if (error instanceof ProviderRefused) return error.reason
  const { code, name, error: said, cause } = error as Record<'code' | 'name' | 'error' | 'cause', unknown>
  const inner = (cause as { code?: unknown } | undefined)?.code
  const reason = [said, code, inner, name].find((text) => typeof text === 'string')
  return String(reason).slice(0, 64)
}
