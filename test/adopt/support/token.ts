import { createHmac } from 'node:crypto'

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A JWT as PyJWT writes it for the template, `{"exp", "sub"}` with HS256; `claims` and `alg` for others. */
export function templateToken(secret: string, claims: object, alg: 'HS256' | 'HS512' = 'HS256'): string {
  const text = `${part({ alg, typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac(`sha${alg.slice(2)}`, secret)
    .update(text)
    .digest('base64url')}`
}

/** The same, of the algorithm none. */
export const unsigned = (token: string) => `${part({ alg: 'none', typ: 'JWT' })}.${token.split('.')[1]}.`

/** Seconds since 1970, so many hours from now. */
export const inHours = (hours: number) => Math.floor(Date.now() / 1000 + hours * 3600)
