import { createHash, randomBytes } from 'node:crypto'

/**
 * An API key as its owner has it: `gw_`, 256 random bits, and a checksum, so that what is mistyped or cut off is refused without a
 * query, and scanners of leaked secrets know one. Only its hash is stored: a random key needs no slow one.
 */
export const newKey = (): string => {
  const random = randomBytes(32).toString('base64url')
  return `${PREFIX}${random}${checksumOf(random)}`
}

/** Whether a bearer token is meant to be an API key. */
export const looksLikeKey = (token: string): boolean => token.startsWith(PREFIX)

/** What is stored of a key; undefined where it is none. */
export function hashOfKey(key: string): string | undefined {
  const [, random = '', checksum] = KEY.exec(key) ?? []
  return checksum === checksumOf(random) ? createHash('sha256').update(key).digest('base64url') : undefined
}

const PREFIX = 'gw_'
const KEY = /^gw_([\w-]{43})([\w-]{6})$/
const CHECKSUM_LENGTH = 6

const checksumOf = (random: string) =>
  createHash('sha256').update(`${PREFIX}${random}`).digest('base64url').slice(0, CHECKSUM_LENGTH)
