import { createHmac } from 'node:crypto'

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A JWT as PyJWT writes it for the template, `{"exp", "sub"}` with HS256; `claims` for others. */
export function templateToken(secret: string, claims: object): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Seconds since 1970, so many hours from now. */
export const inHours = (hours: number) => Math.floor(Date.now() / 1000 + hours * 3600)
