import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { type AccessClaims, accessTokenOptions, accessTokenSeconds, isAccessClaims } from './access-tokens.ts'
import { type Accounts, accounts } from './accounts.ts'
import { type KnownNetworks, knownNetworks } from './known-networks.ts'
import { type OneTimeTokens, tokenStore } from './tokens.ts'
import { type HashingLimits, type Passwords, passwords } from './passwords/passwords.ts'
import { type Level, level } from './level.ts'
import { type Refresh, refresh } from './refresh.ts'
import { type Register, register } from './registration.ts'
import { type CurrentUser, type OpenSession, type Sessions, refreshTokens, sessions } from './sessions.ts'
import type { Config } from '../config/config.ts'
import { InvalidCredentials, NotAuthenticated } from '../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly auth: Auth
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: Pick<AccessClaims, 'sub' | 'sid' | 'gen'>
    /** Known where somebody is signed in (contract.ts); elsewhere it is an error to ask. */
    user: unknown
  }
}

declare module '../contract/contract.ts' {
  interface SignedIn {
    /** Who is asking. */
    readonly user: CurrentUser
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is asking; null where nobody is signed in. */
    currentUser: CurrentUser | null
  }
}

interface Auth {
  readonly passwords: Passwords
  readonly sessions: Sessions
  readonly refresh: Refresh
  readonly accounts: Accounts
  readonly knownNetworks: KnownNetworks
  readonly register: Register
  readonly oneTimeTokens: OneTimeTokens
  /** For answers that do not tell whether an address is known. */
  readonly level: Level
  /** The answer to a sign-in (RFC 6749, 5.1). */
  tokens(session: OpenSession): Tokens
  /**
   * Whose bearer token the request carries (RFC 6750), user and session checked in one query, so that what was
   * revoked a moment ago is refused.
   *
   * @throws NotAuthenticated without a token, InvalidCredentials with one that is worth nothing
   */
  authenticate(request: FastifyRequest): Promise<CurrentUser>
}

interface Tokens {
  access_token: string
  token_type: 'bearer'
  /** Seconds. */
  expires_in: number
  refresh_token: string
}

export interface AuthOptions {
  readonly config: Config
  readonly hashing?: Partial<HashingLimits> | undefined
}

/** Passwords, sessions and tokens, as `app.auth`. */
export const auth = plugin(
  async (app, { config, hashing }: AuthOptions) => {
    await app.register(jwt, { ...accessTokenOptions(config), decoratorName: 'claims' })
    app.decorateRequest('currentUser', null)
    app.decorateRequest('user', {
      getter() {
        if (this.currentUser === null) throw new NobodySignedIn(this)
        return this.currentUser
      },
    })
    const expires_in = accessTokenSeconds(config)
    const texts = refreshTokens(config)
    const services = {
      passwords: passwords(hashing),
      knownNetworks: knownNetworks(app.db, config),
      oneTimeTokens: tokenStore(app.db, config),
      sessions: sessions(app.db, config, texts),
      refresh: refresh(app.db, config, texts),
      accounts: accounts(app.db, config),
      register: register(app.db, config),
      level: level(hashing?.failing),
    }
    app.addHook('onClose', () => services.passwords.close())

    app.decorate('auth', {
      ...services,
      tokens: (session) => ({
        access_token: app.jwt.sign({ sub: session.user_id, sid: session.id, gen: session.generation }),
        token_type: 'bearer',
        expires_in,
        refresh_token: session.refresh_token,
      }),
      async authenticate(request) {
        const claims = readClaims(bearer(request), (token) => app.jwt.verify(token))
        const user = await services.sessions.authenticate(claims)
        if (!user) throw refusedToken('revoked')
        return user
      },
    } satisfies Auth)
  },
  { name: 'auth', dependencies: ['database'] },
)

function bearer({ headers }: FastifyRequest): string {
  const { authorization = '' } = headers
  if (authorization.startsWith('Bearer ') && !authorization.includes(' ', 7)) return authorization.slice(7)
  const [scheme, token, ...more] = authorization.trim().split(/\s+/)
  if (scheme?.toLowerCase() !== 'bearer') throw new NotAuthenticated()
  if (token === undefined || more.length > 0) throw refusedToken('forged')
  return token
}

const refusedToken = (reason: string) => Object.assign(new InvalidCredentials(), { reason })

function readClaims(token: string, verify: (token: string) => unknown): AccessClaims {
  let claims: unknown
  try {
    claims = verify(token)
  } catch (error) {
    throw refusedToken((error as { code?: string }).code === 'FAST_JWT_EXPIRED' ? 'expired' : 'forged')
  }
  if (!isAccessClaims(claims)) throw refusedToken('forged')
  return claims
}

/** A fault of the code: it asks who is there on a route that lets anybody in. */
class NobodySignedIn extends Error {
  constructor({ method, routeOptions: { url } }: FastifyRequest) {
    super(
      `${method} ${url} is public, so request.user and request.owned() have nobody: list its resource under the signed-in or superuser scope in app.ts`,
    )
    this.name = 'NobodySignedIn'
  }
}
