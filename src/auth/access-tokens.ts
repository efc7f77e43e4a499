import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { Config } from '../config.ts'

/**
 * The access token: a JWT that says who (`sub`) and in which session (`sid`), for an hour by default. It is the only
 * JWT of the service. RFC 8725: the algorithm is pinned, and every claim required.
 */
const UUID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
const AccessClaims = Type.Object({
  sub: Type.String({ pattern: UUID }),
  sid: Type.String({ pattern: UUID }),
  iat: Type.Integer(),
  exp: Type.Integer(),
})
export type AccessClaims = Static<typeof AccessClaims>

const check = TypeCompiler.Compile(AccessClaims)

/** Whether a payload whose signature was right is an access token's. */
export const isAccessClaims = (payload: unknown): payload is AccessClaims => check.Check(payload)

/** Seconds that an access token lives. */
export const accessTokenSeconds = (config: Pick<Config, 'ACCESS_TOKEN_EXPIRE_MINUTES'>) =>
  config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

/** How access tokens are signed and verified, for @fastify/jwt. */
export const accessTokenOptions = (config: Pick<Config, 'SECRET_KEY' | 'ACCESS_TOKEN_EXPIRE_MINUTES'>) => ({
  secret: config.SECRET_KEY,
  sign: { algorithm: 'HS256' as const, expiresIn: accessTokenSeconds(config) },
  verify: { algorithms: ['HS256' as const], requiredClaims: ['sub', 'sid', 'iat', 'exp'] },
})
