import { hashSync } from '@node-rs/argon2'
import { kindOf } from './kinds/kinds.mjs'

/**
 * Runs in threads of their own (passwords.ts). Plain JavaScript, as threads do not inherit what lets a process run
 * TypeScript.
 */

/** @param {{ password: string, cost: import('@node-rs/argon2').Options }} job */
export const hash = ({ password, cost }) => hashSync(password, cost)

/**
 * @param {{ password: string, hash: string }} job hash: of any kind
 * @returns whether they match; false where the hash is damaged
 */
export async function verify({ password, hash }) {
  try {
    return (await kindOf(hash)?.matches(hash, password)) ?? false
  } catch {
    return false
  }
}
