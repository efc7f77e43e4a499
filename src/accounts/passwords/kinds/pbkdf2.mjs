import { pbkdf2Sync } from 'node:crypto'
import { bytesOf, isSame } from './base64.mjs'

const DJANGO = /^pbkdf2_(sha1|sha256|sha512)\$([1-9]\d{0,7})\$([^$]{1,128})\$([A-Za-z0-9+/]{22,88}={0,2})$/
const MODULAR =
  /^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?([1-9]\d{0,7})(?:,l=\d{1,2})?\$([A-Za-z0-9+/.]{1,128}={0,2})\$([A-Za-z0-9+/.]{22,88}={0,2})$/

/** Milliseconds of an iteration, and bytes that it gives. */
const digests = {
  sha1: { each: 0.0006, bytes: 20 },
  sha256: { each: 0.0004, bytes: 32 },
  sha512: { each: 0.0007, bytes: 64 },
}

/**
 * Django's, whose salt is text (`pbkdf2_sha256$600000$salt$hash`), and in modular or PHC form
 * (`$pbkdf2-sha256$29000$salt$hash`), which passlib and others write.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const pbkdf2 = {
  name: 'pbkdf2',
  costOf(hash) {
    const parts = partsOf(hash)
    if (parts === undefined) return undefined
    const { each, bytes } = digests[parts.digest]
    return { mebibytes: 0, milliseconds: parts.iterations * each * Math.ceil(parts.key.length / bytes) }
  },
  matches(hash, password) {
    const parts = partsOf(hash)
    if (parts === undefined) return false
    const { digest, iterations, salt, key } = parts
    return isSame(pbkdf2Sync(password, salt, iterations, key.length, digest), key)
  },
}

/** @param {string} hash */
function partsOf(hash) {
  const isDjangos = hash.startsWith('pbkdf2_')
  const found = (isDjangos ? DJANGO : MODULAR).exec(hash)
  if (found === null) return undefined
  const [, digest = 'sha1', iterations, salt = '', key = ''] = found
  return {
    digest: /** @type {keyof typeof digests} */ (digest),
    iterations: Number(iterations),
    salt: isDjangos ? Buffer.from(salt) : bytesOf(salt),
    key: bytesOf(key),
  }
}
