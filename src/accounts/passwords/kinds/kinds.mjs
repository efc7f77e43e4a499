import { argon2 } from './argon2.mjs'
import { bcrypt } from './bcrypt.mjs'
import { firebase } from './firebase.mjs'
import { pbkdf2 } from './pbkdf2.mjs'
import { scrypt } from './scrypt.mjs'
import { shaCrypt } from './sha-crypt.mjs'
import { unsalted } from './unsalted.mjs'

/**
 * The kinds of stored hashes: argon2, which is what the service makes, and those of other systems, which are replaced at the
 * first sign-in. Plain JavaScript, as threads run it too (../hashing-worker.mjs).
 *
 * @typedef {object} Cost of a comparison
 * @property {number} mebibytes
 * @property {number} milliseconds of a core, estimated from its parameters: measured 2026-11 on a busy machine, rounded up
 *
 * @typedef {object} Kind
 * @property {string} name
 * @property {(hash: string) => Cost | undefined} costOf undefined where it is no well-formed hash of the kind
 * @property {(hash: string, password: string) => boolean | Promise<boolean>} matches of a well-formed one; may throw
 */

/** @type {[prefix: RegExp, kind: Kind][]} */
const kinds = [
  [/^\$argon2/, argon2],
  [/^\$2[aby]\$/, bcrypt],
  [/^\$scrypt\$/, scrypt],
  [/^\$fbscrypt\$/, firebase],
  [/^\$?pbkdf2/, pbkdf2],
  [/^\$[56]\$/, shaCrypt],
  [/^\$hex-/, unsalted],
]

/**
 * The kind of a hash by its prefix; undefined where it is of none.
 *
 * @param {string} hash
 */
export const kindOf = (hash) => kinds.find(([prefix]) => prefix.test(hash))?.[1]
