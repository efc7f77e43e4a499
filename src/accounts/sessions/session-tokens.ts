import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { type Key, type KeySettings, type Keyring, keyring } from '../../config/secrets/keys.ts'
import { signedIds } from '../../config/secrets/signed-ids.ts'

/**
 * The two tokens of a session. The access token is a JWT, the only kind of the service; RFC 8725: the algorithm is pinned and
 * every claim required. The refresh token is `session.generation.key.mac`: derived, never stored; those of versions before 0.3
 * don't name the key.
 */
export interface Session {
  readonly id: string
  readonly user_id: string
  /** Number of the refresh token, from 0; each refresh issues the next one. */
  readonly generation: number
}

export interface AccessClaims {
  /** The user. */
  readonly sub: string
  /** The session. */
  readonly sid: string
  /** Generation of the refresh token that was issued with it; tokens of versions before 0.3 have none. */
  readonly gen?: number
  /** Seconds since 1970. */
  readonly iat: number
  readonly exp: number
}

/** The answer to a sign-in or a refresh (RFC 6749, 5.1). */
export interface Tokens {
  access_token: string
  token_type: 'bearer'
  /** Seconds. */
  expires_in: number
  refresh_token: string
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const isUuid = (claim: unknown) => typeof claim === 'string' && UUID.test(claim)

const MAX_INTEGER = 2 ** 31 - 1
const isGeneration = (claim: unknown) =>
  Number.isInteger(claim) && Number(claim) >= 0 && Number(claim) <= MAX_INTEGER

/** Whether the payload of a correctly signed JWT is that of an access token. No schema: it runs on every request. */
export function isAccessClaims(payload: unknown): payload is AccessClaims {
  if (typeof payload !== 'object' || payload === null) return false
  const { sub, sid, gen = 0, iat, exp } = payload as Partial<Record<string, unknown>>
  return isUuid(sub) && isUuid(sid) && isGeneration(gen) && Number.isInteger(iat) && Number.isInteger(exp)
}

/** Lifetime of an access token in seconds. */
const accessTokenSeconds = (config: Pick<Config, 'ACCESS_TOKEN_EXPIRE_MINUTES'>) =>
  config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

declare module '@fastify/jwt' {
  interface JWT {
    /** Of SECRET_KEY_PREVIOUS, which verifies and signs nothing; undefined without it. */
    readonly previous?: Pick<JWT, 'verify'>
  }
}

/** Without fast-jwt's cache: forged tokens would take places in it. */
const verify = {
  algorithms: ['HS256' as const],
  requiredClaims: ['sub', 'sid', 'iat', 'exp'],
  complete: true,
}

/** How @fastify/jwt signs and verifies access tokens. */
export const accessTokenOptions = (
  { id, secret }: Key,
  config: Pick<Config, 'ACCESS_TOKEN_EXPIRE_MINUTES'>,
) => ({
  secret,
  sign: { algorithm: 'HS256' as const, expiresIn: accessTokenSeconds(config), kid: id },
  verify,
})

/** How it verifies those that SECRET_KEY_PREVIOUS has signed, as `jwt.previous`. */
export const previousTokenOptions = ({ secret }: Key) => ({ namespace: 'previous', secret, verify })

interface CheckedJwt {
  readonly header: { readonly kid?: unknown }
  readonly payload: unknown
}

/**
 * Checks access tokens with SECRET_KEY, and with SECRET_KEY_PREVIOUS those whose signature is another. The key is not chosen by
 * `kid`: tokens of versions before 0.3 have none, and to read it first takes longer.
 *
 * @returns what does so, and gives the payload; undefined where the token names another key. @throws errors of fast-jwt
 */
export function verifyAccessToken(
  { jwt }: Pick<FastifyInstance, 'jwt'>,
  { current, previous }: Keyring,
): (token: string) => unknown {
  const payloadBy = ({ id }: Key, { header: { kid }, payload }: CheckedJwt) =>
    kid === undefined || kid === id ? payload : undefined
  return (token) => {
    try {
      return payloadBy(current, jwt.verify<CheckedJwt>(token))
    } catch (error) {
      const isSignedByOther = (error as { code?: string }).code === 'FAST_JWT_INVALID_SIGNATURE'
      if (!previous || !jwt.previous || !isSignedByOther) throw error
      return payloadBy(previous, jwt.previous.verify<CheckedJwt>(token))
    }
  }
}

export interface RefreshTokens {
  sign(session: Session): string
  /** The session and generation that a token names; undefined where its MAC is wrong. */
  open(token: string): Pick<Session, 'id' | 'generation'> | undefined
}

export function refreshTokens(config: KeySettings): RefreshTokens {
  const keys = keyring(config)
  const texts = signedIds(keys, 'refresh-token')
  return {
    sign: ({ id, generation }) => texts.sign(`${id}.${generation}.${keys.current.id}`),
    open(token) {
      const [id, generation] = texts.open(token)?.split('.') ?? []
      return id === undefined ? undefined : { id, generation: Number(generation) }
    },
  }
}

export function issueTokens(
  { jwt }: Pick<FastifyInstance, 'jwt'>,
  config: Pick<Config, 'ACCESS_TOKEN_EXPIRE_MINUTES'>,
  refreshTokens: RefreshTokens,
) {
  const expires_in = accessTokenSeconds(config)
  return (session: Session): Tokens => ({
    access_token: jwt.sign({ sub: session.user_id, sid: session.id, gen: session.generation }),
    token_type: 'bearer',
    expires_in,
    refresh_token: refreshTokens.sign(session),
  })
}
