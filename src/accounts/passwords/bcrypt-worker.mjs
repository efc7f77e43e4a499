import { compareSync } from 'bcryptjs'

/**
 * Runs in a thread of its own (passwords.ts): bcryptjs is JavaScript, and holds up its loop for 240 ms. Plain
 * JavaScript, as threads do not inherit what lets a process run TypeScript.
 *
 * @param {{ password: string, hash: string }} job
 */
export default function compare({ password, hash }) {
  return compareSync(password, hash)
}
