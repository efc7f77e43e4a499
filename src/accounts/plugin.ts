import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { type Accounts, accounts } from './accounts.ts'
import { type KnownNetworks, knownNetworks } from './known-networks.ts'
import { type OneTimeTokens, tokenStore } from './tokens.ts'
import { type HashingLimits, type Passwords, passwords } from './passwords/passwords.ts'
import { type Level, level } from './level.ts'
import { type Links, links } from './links.ts'
import { type Recovery, recovery } from './recovery.ts'
import { type Register, register } from './registration.ts'
import {
  type AccessClaims,
  type RefreshTokens,
  type Session,
  type Tokens,
  accessTokenOptions,
  issueTokens,
  refreshTokens,
} from './session-tokens.ts'
import { type CurrentUser, type Sessions, sessionGuard } from './sessions.ts'
import { type Verification, verification } from './verification.ts'
import type { Config } from '../config/config.ts'

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
  readonly refreshTokens: RefreshTokens
  readonly accounts: Accounts
  readonly knownNetworks: KnownNetworks
  readonly register: Register
  readonly recovery: Recovery
  readonly verification: Verification
  readonly links: Links
  readonly oneTimeTokens: OneTimeTokens
  /** For answers that do not tell whether an address is known. */
  readonly level: Level
  /** Issues the tokens of a session. */
  tokens(session: Session): Tokens
  /** The guard of scopes. */
  readonly authenticate: Sessions['authenticate']
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
    const parts = {
      passwords: passwords(hashing),
      knownNetworks: knownNetworks(app.db, config),
      recovery: recovery(app.db, config),
      verification: verification(app.db, config),
      oneTimeTokens: tokenStore(app.db, config),
    }
    const sessions = sessionGuard(app, config)
    const refreshTexts = refreshTokens(config)
    const services = {
      ...parts,
      sessions,
      authenticate: sessions.authenticate,
      refreshTokens: refreshTexts,
      tokens: issueTokens(app, config, refreshTexts),
      accounts: accounts(app.db, config),
      register: register(app.db, config),
      links: links(parts, config),
      level: level(hashing?.failing),
    }
    app.addHook('onClose', () => services.passwords.close())

    app.decorate('auth', services satisfies Auth)
  },
  { name: 'auth', dependencies: ['database'] },
)

/** A fault of the code: it asks who is there on a route that lets anybody in. */
class NobodySignedIn extends Error {
  constructor({ method, routeOptions: { url } }: FastifyRequest) {
    super(
      `${method} ${url} is public, so request.user and request.owned() have nobody: list its resource under the signed-in or superuser scope in app.ts`,
    )
    this.name = 'NobodySignedIn'
  }
}
