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
  const key = Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}`, 32))
  const mac = (id: string) => createHmac('sha256', key).update(id).digest('base64url')
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

function equal(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
