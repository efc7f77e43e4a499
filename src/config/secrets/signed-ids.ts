import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Key, type Keyring, derive } from './keys.ts'

/**
 * Tokens that are derived, not stored: the id of a row, and a MAC over it. Reading the database gives the ids, not the MACs.
 */
export interface SignedIds {
  /** `id.mac`, safe in URLs. */
  sign(id: string): string
  /** The id, or undefined if no key gives this MAC. Compares in constant time. */
  open(signed: string): string | undefined
}

/**
 * Each key is tried, two at most: the text says nothing of its key, as versions before 0.3 would take that for a part of
 * the id.
 *
 * @param purpose each has its own key, so a token for one purpose is invalid for another
 */
export function signedIds({ current, all }: Keyring, purpose: string): SignedIds {
  const mac = macOf(current, purpose)
  const macs = all.map((key) => macOf(key, purpose))
  return {
    sign: (id) => `${id}.${mac(id)}`,
    open(signed) {
      const dot = signed.lastIndexOf('.')
      if (dot < 0) return undefined
      const id = signed.slice(0, dot)
      const given = signed.slice(dot + 1)
      return macs.some((by) => equal(given, by(id))) ? id : undefined
    },
  }
}

/** HMAC-SHA-256 (base64url) with a key derived for this purpose. */
export function macOf({ secret }: Key, purpose: string): (text: string) => string {
  const key = derive(secret, purpose)
  return (text) => createHmac('sha256', key).update(text).digest('base64url')
}

/** Names that rows have instead of what they are about. */
export interface Names {
  readonly name: string
  /** What it was called under SECRET_KEY_PREVIOUS; empty where that is unset. */
  readonly before: string
}

/** Gives a text its name: a MAC, so that nobody who reads the rows can tell the text. */
export function namesOf({ current, previous }: Keyring, purpose: string): (text: string) => Names {
  const name = macOf(current, purpose)
  const before = previous ? macOf(previous, purpose) : () => ''
  return (text) => ({ name: name(text), before: before(text) })
}

function equal(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
