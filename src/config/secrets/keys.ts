import { hkdfSync } from 'node:crypto'

/** A secret that keys are derived from, one for each purpose (HKDF, RFC 5869). */
export interface Key {
  /** Derived from the secret, which it does not reveal. JWTs have it as `kid`. */
  readonly id: string
  readonly secret: string
}

/** What is made is made with `current`; what is shown may have been made with any of `all`. */
export interface Keyring {
  /** SECRET_KEY. */
  readonly current: Key
  /** SECRET_KEY_PREVIOUS. */
  readonly previous: Key | undefined
  /** The current one first. */
  readonly all: readonly Key[]
}

export interface KeySettings {
  readonly SECRET_KEY: string
  readonly SECRET_KEY_PREVIOUS?: string | undefined
}

export function keyring({ SECRET_KEY, SECRET_KEY_PREVIOUS }: KeySettings): Keyring {
  const current = keyOf(SECRET_KEY)
  const isOther = SECRET_KEY_PREVIOUS !== undefined && SECRET_KEY_PREVIOUS !== SECRET_KEY
  const previous = isOther ? keyOf(SECRET_KEY_PREVIOUS) : undefined
  return { current, previous, all: previous ? [current, previous] : [current] }
}

const ID_BYTES = 6

const keyOf = (secret: string): Key => ({
  id: derive(secret, 'key id', ID_BYTES).toString('base64url'),
  secret,
})

export const derive = (secret: string, purpose: string, bytes = 32): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}`, bytes))
