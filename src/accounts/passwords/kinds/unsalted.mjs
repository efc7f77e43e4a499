import { createHash } from 'node:crypto'
import { argon2 } from './argon2.mjs'

const FORM = /^\$hex-(md5|sha1|sha256)(\$argon2id\$.*)$/

/** What hex digests of that length are of. */
const DIGESTS = new Map([
  [32, 'md5'],
  [40, 'sha1'],
  [64, 'sha256'],
])

/**
 * argon2id of the hex digest, in small letters, that another system stored without a salt:
 * `$hex-md5$argon2id$v=19$m=65536,t=3,p=4$salt$hash`. The digest itself is never stored.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const unsalted = {
  name: 'unsalted',
  costOf(hash) {
    const [, , wrapped] = FORM.exec(hash) ?? []
    return wrapped === undefined ? undefined : argon2.costOf(wrapped)
  },
  matches(hash, password) {
    const [, digest = '', wrapped = ''] = FORM.exec(hash) ?? []
    return argon2.matches(wrapped, createHash(digest).update(password).digest('hex'))
  },
}

/**
 * The digest that an unsalted hash is of, by its length; undefined where it is none.
 *
 * @param {string} hash
 */
export const digestOf = (hash) => (/^[0-9a-f]+$/i.test(hash) ? DIGESTS.get(hash.length) : undefined)

/**
 * @param {string} digest
 * @param {string} argon2id of the hex digest
 */
export const wrapped = (digest, argon2id) => `$hex-${digest}${argon2id}`
