import { scryptSync } from 'node:crypto'
import { bytesOf, isSame } from './base64.mjs'

const FORM =
  /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d?),p=([1-9]\d?)\$([A-Za-z0-9+/]{0,256}={0,2})\$([A-Za-z0-9+/]{22,172}={0,2})$/

/**
 * In PHC form, which passlib and others write, and keys of Node's `crypto.scrypt` can be written in:
 * `$scrypt$ln=14,r=8,p=1$salt$hash`, ln being log2(N).
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const scrypt = {
  name: 'scrypt',
  costOf(hash) {
    const [, ln, r, p] = FORM.exec(hash) ?? []
    return ln === undefined ? undefined : scryptCost(Number(ln), Number(r), Number(p))
  },
  matches(hash, password) {
    const [, ln, r, p, salt = '', key = ''] = FORM.exec(hash) ?? []
    const expected = bytesOf(key)
    const parameters = { ln: Number(ln), r: Number(r), p: Number(p) }
    return isSame(scryptKey(password, bytesOf(salt), expected.length, parameters), expected)
  },
}

/**
 * @param {number} ln
 * @param {number} r
 * @param {number} p
 */
export const scryptCost = (ln, r, p) => ({
  mebibytes: (2 ** ln * r) / 8192,
  milliseconds: 2 ** ln * r * p * 0.00045,
})

/**
 * @param {string} password
 * @param {Buffer} salt
 * @param {number} length
 * @param {{ ln: number, r: number, p: number }} parameters
 */
export const scryptKey = (password, salt, length, { ln, r, p }) =>
  // Node refuses what takes just as much as `maxmem`.
  scryptSync(password, salt, length, { N: 2 ** ln, r, p, maxmem: 256 * 2 ** ln * r + 2 ** 20 })
