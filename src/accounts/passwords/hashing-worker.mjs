import { hashSync, verifySync } from '@node-rs/argon2'

/**
 * Runs in threads of their own (passwords.ts). Plain JavaScript, as threads do not inherit what lets a process run
 * TypeScript.
 */

/** @param {{ password: string, cost: import('@node-rs/argon2').Options }} job */
export const hash = ({ password, cost }) => hashSync(password, cost)

/**
 * @param {{ password: string, hash: string }} job hash: argon2, or bcrypt of older services
 * @returns whether they match; false where the hash is damaged
 */
export async function verify({ password, hash }) {
  try {
    if (hash.startsWith('$argon2')) return verifySync(hash, password)
    const { compareSync } = await import('bcryptjs')
    return compareSync(password, hash)
  } catch {
    return false
  }
}
