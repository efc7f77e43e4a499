import type { Config } from '../config/config.ts'

/**
 * The access token: a JWT that says who (`sub`) and in which session (`sid`), for an hour by default. It is the only
 * JWT of the service. RFC 8725: the algorithm is pinned, and every claim required.
 */
export interface AccessClaims {
  readonly sub: string
  readonly sid: string
  /** The generation of the refresh token that came with it; tokens of before 0.3 have none. */
  readonly gen?: number
  /** Seconds since 1970. */
  readonly iat: number
  readonly exp: number
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const isUuid = (claim: unknown) => typeof claim === 'string' && UUID.test(claim)

const MOST = 2 ** 31 - 1
const isCount = (claim: unknown) => Number.isInteger(claim) && Number(claim) >= 0 && Number(claim) <= MOST

/** Whether a payload whose signature was right is an access token's. By hand, as it is asked on every request. */
export function isAccessClaims(payload: unknown): payload is AccessClaims {
  if (typeof payload !== 'object' || payload === null) return false
  const { sub, sid, gen = 0, iat, exp } = payload as Partial<Record<string, unknown>>
  return isUuid(sub) && isUuid(sid) && isCount(gen) && Number.isInteger(iat) && Number.isInteger(exp)
}

/** Seconds that an access token lives. */
export const accessTokenSeconds = (config: Pick<Config, 'ACCESS_TOKEN_EXPIRE_MINUTES'>) =>
  config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

/** How access tokens are signed and verified, for @fastify/jwt. */
export const accessTokenOptions = (config: Pick<Config, 'SECRET_KEY' | 'ACCESS_TOKEN_EXPIRE_MINUTES'>) => ({
  secret: config.SECRET_KEY,
  sign: { algorithm: 'HS256' as const, expiresIn: accessTokenSeconds(config) },
  verify: { algorithms: ['HS256' as const], requiredClaims: ['sub', 'sid', 'iat', 'exp'] },
})
