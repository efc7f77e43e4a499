import * as crypto from 'node:crypto'
import { isSame } from './base64.mjs'

const FORM = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([./A-Za-z0-9]{0,16})\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})$/

const DEFAULT_ROUNDS = 5000

/**
 * crypt(3) with SHA-256 or SHA-512, of /etc/shadow and passlib: `$6$rounds=656000$salt$hash`. By hand, from its specification
 * (Drepper, akkadia.org/drepper/SHA-crypt.txt), on the digests of Node: of the packages for it, unixcrypt 3.0.4 refuses
 * passwords of 64 and 128 bytes, and others need a compiler, or compute SHA-512 in JavaScript.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const shaCrypt = {
  name: 'sha-crypt',
  costOf(hash) {
    const parts = partsOf(hash)
    return parts && { mebibytes: 0, milliseconds: parts.rounds * 0.002 }
  },
  matches(hash, password) {
    const parts = partsOf(hash)
    if (parts === undefined) return false
    return isSame(Buffer.from(encoded(digestOf(parts, Buffer.from(password)))), Buffer.from(parts.key))
  },
}

/** @param {string} hash */
function partsOf(hash) {
  const [, id, rounds, salt, key = ''] = FORM.exec(hash) ?? []
  if (salt === undefined || key.length !== (id === '5' ? 43 : 86)) return undefined
  const algorithm = id === '5' ? 'sha256' : 'sha512'
  return { algorithm, rounds: Math.max(1000, Number(rounds ?? DEFAULT_ROUNDS)), salt: Buffer.from(salt), key }
}

/**
 * @param {{ algorithm: string, rounds: number, salt: Buffer }} parts
 * @param {Buffer} password
 */
function digestOf({ algorithm, rounds, salt }, password) {
  /** @param {Buffer[]} parts */
  const digest = (...parts) => crypto.hash(algorithm, Buffer.concat(parts), 'buffer')

  const other = digest(password, salt, password)
  const first = [password, salt, filled(other, password.length)]
  for (let length = password.length; length > 0; length >>= 1) first.push(length & 1 ? other : password)
  let result = digest(...first)

  const secret = filled(digest(...repeated(password, password.length)), password.length)
  const salted = filled(digest(...repeated(salt, 16 + (result[0] ?? 0))), salt.length)
  for (let round = 0; round < rounds; round += 1) {
    const isOdd = round % 2 === 1
    const parts = [isOdd ? secret : result]
    if (round % 3 !== 0) parts.push(salted)
    if (round % 7 !== 0) parts.push(secret)
    parts.push(isOdd ? result : secret)
    result = digest(...parts)
  }
  return result
}

/** Of that length, made of the digest again and again. @param {Buffer} digest @param {number} length */
const filled = (digest, length) => Buffer.alloc(length, digest)

/** @param {Buffer} text @param {number} times */
const repeated = (text, times) => Array.from({ length: times }, () => text)

const LETTERS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * Three bytes a time, one of each third of the digest, the first of which moves on by one: four letters, the lowest bits
 * first. What is left over at the end is shorter.
 *
 * @param {Buffer} digest
 */
function encoded(digest) {
  const third = Math.floor(digest.length / 3)
  const step = digest.length === 64 ? 1 : 2
  let text = ''
  for (let at = 0; at < third; at += 1) {
    const places = [0, 1, 2].map((part) => at + third * ((part + at * step) % 3))
    text += lettersOf(
      places.map((place) => digest[place] ?? 0),
      4,
    )
  }
  return (
    text +
    (digest.length === 64
      ? lettersOf([0, 0, digest[63] ?? 0], 2)
      : lettersOf([0, digest[31] ?? 0, digest[30] ?? 0], 3))
  )
}

/** @param {number[]} bytes @param {number} count */
function lettersOf([high = 0, middle = 0, low = 0], count) {
  let bits = (high << 16) | (middle << 8) | low
  let text = ''
  for (let letter = 0; letter < count; letter += 1) {
    text += LETTERS[bits & 63]
    bits >>= 6
  }
  return text
}
