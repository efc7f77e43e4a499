import type { Config } from '../../config/config.ts'

declare module '@fastify/jwt' {
  interface JWT {
    /** Of the FastAPI template that was adopted; undefined without ADOPTED_SECRET_KEY. */
    readonly template?: Pick<JWT, 'verify'>
  }
}

/**
 * Access tokens that a FastAPI template issued before its database was adopted (adopt/): HS256 with its own key, and two claims.
 * They name no session; the one that the adoption opened for their user stands for them, until they expire.
 */
export interface TemplateClaims {
  /** The user. */
  readonly sub: string
  /** Seconds since 1970. */
  readonly exp: number
}

/** How @fastify/jwt verifies them, as `jwt.template`. The key is of any length, and signs nothing here. */
export const templateTokenOptions = ({ ADOPTED_SECRET_KEY: secret }: { ADOPTED_SECRET_KEY: string }) => ({
  namespace: 'template',
  secret,
  verify: { algorithms: ['HS256' as const], requiredClaims: ['sub', 'exp'] },
})

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Whether the payload is that of one: what the template signs for other uses has more claims, and an address as `sub`. */
export function isTemplateClaims(payload: unknown): payload is TemplateClaims {
  if (typeof payload !== 'object' || payload === null || Object.keys(payload).length !== 2) return false
  const { sub, exp } = payload as Partial<Record<string, unknown>>
  return typeof sub === 'string' && UUID.test(sub) && Number.isSafeInteger(exp)
}

export const hasAdoptedKey = (config: Config): config is Config & { ADOPTED_SECRET_KEY: string } =>
  config.ADOPTED_SECRET_KEY !== undefined
