import { digestOf } from '../passwords/kinds/unsalted.mjs'
import { kindOf } from '../passwords/kinds/kinds.mjs'
import { isAffordable } from '../passwords/passwords.ts'

/** What is to be stored of a hash of another system. */
export type ReadHash =
  | { readonly kind: string; readonly hash: string }
  /** An unsalted hex digest, of which argon2id is to be stored. */
  | { readonly kind: string; readonly digest: string; readonly of: string }
  /** None, or of no known kind: its user has to choose another password. */
  | { readonly kind: 'unknown' }
  | { readonly fault: string }

/**
 * Reads a stored hash as other systems write it. Django's have the name of their kind before those that have a form of their
 * own (`argon2$argon2id$…`, `bcrypt$$2b$…`).
 */
export function readHash(text: string | null | undefined): ReadHash {
  const hash = (text ?? '').replace(/^argon2(?=\$argon2)/, '').replace(/^bcrypt\$(?=\$2)/, '')
  const digest = digestOf(hash)
  if (digest !== undefined) return { kind: `unsalted ${digest}`, digest, of: hash.toLowerCase() }
  const kind = kindOf(hash)
  // What this service makes of an unsalted one comes from no other system.
  if (kind === undefined || kind.name === 'unsalted') return { kind: 'unknown' }
  if (kind.costOf(hash) === undefined) return { fault: `not a well-formed hash of ${kind.name}` }
  if (!isAffordable(hash)) return { fault: `${kind.name} with parameters that cost too much` }
  return { kind: kind.name, hash }
}
