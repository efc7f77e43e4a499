import { compareSync } from 'bcryptjs'

/** Runs in a thread of its own (passwords.ts): bcryptjs is JavaScript, and holds up its loop for 240 ms. */
export default function compare({ password, hash }: { password: string; hash: string }): boolean {
  return compareSync(password, hash)
}
