import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { keyring } from '../config/secrets/keys.ts'
import { type SignedIds, signedIds } from '../config/secrets/signed-ids.ts'
import { type Codes, codes } from './factors/codes.ts'
import { type Providers, providers } from './identities/providers.ts'
import { type Accounts, accounts } from './users/find-user.ts'
import { type KnownNetworks, knownNetworks } from './sessions/known-networks.ts'
import { type Level, level } from './passwords/level.ts'
import { type HashingLimits, type Passwords, passwords } from './passwords/passwords.ts'
import {
  type AccessClaims,
  type RefreshTokens,
  type Session,
  type Tokens,
  accessTokenOptions,
  issueTokens,
  previousTokenOptions,
  refreshTokens,
} from './sessions/session-tokens.ts'
import { type CurrentUser, type Sessions, factorGuard, requireFresh, sessionGuard } from './sessions/guard.ts'
import { hasAdoptedKey, templateTokenOptions } from './sessions/template-tokens.ts'
import { type OneTimeTokens, tokenStore } from './tokens.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly auth: Auth
    /** Permissions that an API key can have: those that operations name. */
    readonly permissions: Set<string>
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: Pick<AccessClaims, 'sub' | 'sid' | 'gen'>
    /** Typed in the signed-in and superuser scopes (contract.ts). */
    user: unknown
  }
}

declare module '../contract/contract.ts' {
  interface SignedIn {
    /** The signed-in user. */
    readonly user: CurrentUser
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The signed-in user; null in the public scope. */
    currentUser: CurrentUser | null
  }
}

interface Auth {
  readonly passwords: Passwords
  readonly sessions: Sessions
  readonly refreshTokens: RefreshTokens
  readonly accounts: Accounts
  readonly knownNetworks: KnownNetworks
  readonly oneTimeTokens: OneTimeTokens
  /** For answers that must not reveal by their time whether an address is known. */
  readonly level: Level
  /** Issues the tokens of a session. */
  tokens(session: Session): Tokens
  /** The guard of scopes. */
  readonly authenticate: Sessions['authenticate']
  readonly requireFresh: typeof requireFresh
  readonly requireFactor: ReturnType<typeof factorGuard>
  /** Codes of second factors. */
  readonly codes: Codes
  /** Challenges to show one, as texts: id and MAC. */
  readonly challenges: SignedIds
  /** Identity providers. */
  readonly providers: Providers
  /** Ways to one, and sign-ins that one has vouched for, as texts: id and MAC. */
  readonly oidcStates: SignedIds
  readonly oidcCodes: SignedIds
}

export interface AuthOptions {
  readonly config: Config
  readonly hashing?: Partial<HashingLimits> | undefined
}

/** Passwords, sessions and tokens, as `app.auth`. */
export const auth = plugin(
  async (app, { config, hashing }: AuthOptions) => {
    const keys = keyring(config)
    await app.register(jwt, { ...accessTokenOptions(keys.current, config), decoratorName: 'claims' })
    if (keys.previous) await app.register(jwt, previousTokenOptions(keys.previous))
    if (hasAdoptedKey(config)) await app.register(jwt, templateTokenOptions(config))
    app.decorateRequest('currentUser', null)
    app.decorateRequest('user', {
      getter() {
        if (this.currentUser === null) throw new NobodySignedIn(this)
        return this.currentUser
      },
    })
    const refreshTexts = refreshTokens(config)
    const sessions = sessionGuard(app, config)
    const services = {
      passwords: passwords(hashing),
      sessions,
      authenticate: sessions.authenticate,
      requireFresh,
      requireFactor: factorGuard(config),
      codes: codes(config),
      challenges: signedIds(keys, 'login-challenge'),
      providers: providers(config, app.log),
      oidcStates: signedIds(keys, 'oidc-state'),
      oidcCodes: signedIds(keys, 'oidc-code'),
      refreshTokens: refreshTexts,
      tokens: issueTokens(app, config, refreshTexts),
      accounts: accounts(app.db),
      knownNetworks: knownNetworks(app.db, config),
      oneTimeTokens: tokenStore(app.db, config),
      level: level(hashing?.failing),
    } satisfies Auth
    app.addHook('onClose', () => services.passwords.close())
    app.decorate('auth', services)
    app.decorate('permissions', new Set<string>())
  },
  { name: 'auth', dependencies: ['database'] },
)

/** A bug: a handler of a public route asks for the signed-in user. */
class NobodySignedIn extends Error {
  constructor({ method, routeOptions: { url } }: FastifyRequest) {
    super(
      `${method} ${url} is public, so request.user and request.owned() have nobody: list its resource under the signed-in or superuser scope in app.ts`,
    )
    this.name = 'NobodySignedIn'
  }
}
