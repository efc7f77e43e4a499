import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/**
 * Tokens that are derived, not stored: the id of a row, and a MAC over it. Reading the database gives the ids, not the MACs.
 */
export interface SignedIds {
  /** `id.mac`, safe in URLs. */
  sign(id: string): string
  /** The id, or undefined if the MAC is wrong. Compares in constant time. */
  open(signed: string): string | undefined
}

/**
 * @param secret SECRET_KEY
 * @param purpose each has its own key (HKDF, RFC 5869), so a token for one purpose is invalid for another
 */
export function signedIds(secret: string, purpose: string): SignedIds {
  const mac = macOf(secret, purpose)
  return {
    sign: (id) => `${id}.${mac(id)}`,
    open(signed) {
      const dot = signed.lastIndexOf('.')
      if (dot < 0) return undefined
      const id = signed.slice(0, dot)
      return equal(signed.slice(dot + 1), mac(id)) ? id : undefined
    },
  }
}

/** HMAC-SHA-256 (base64url) with a key derived for this purpose. */
export function macOf(secret: string, purpose: string): (text: string) => string {
  const key = Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}`, 32))
  return (text) => createHmac('sha256', key).update(text).digest('base64url')
}

function equal(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
