import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/**
 * Secrets that are derived, not stored: an id of a row with a MAC over it. Who reads the database has the ids, but
 * cannot make the MACs.
 */
export interface SignedIds {
  /** `id.mac`; both parts are base64url or hex and dashes, so that it stands in a URL as it is. */
  sign(id: string): string
  /** The id, or undefined where this key did not sign it. Takes the same time however much of the MAC fits. */
  open(signed: string): string | undefined
}

/**
 * @param secret SECRET_KEY
 * @param purpose what the ids are good for; a signature for one purpose is worth nothing for another, as each has
 *   a key of its own (HKDF, RFC 5869)
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

/** A MAC (HMAC-SHA-256, base64url) of a text, under a key that is derived for this purpose alone. */
export function macOf(secret: string, purpose: string): (text: string) => string {
  const key = Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}`, 32))
  return (text) => createHmac('sha256', key).update(text).digest('base64url')
}

function equal(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
