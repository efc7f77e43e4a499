import { verifySync } from '@node-rs/argon2'

const FORM =
  /^\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?m=([1-9]\d{0,6}),t=([1-9]\d{0,4}),p=[1-9]\d?\$[A-Za-z0-9+/]{11,128}\$[A-Za-z0-9+/]{16,128}$/

/**
 * In PHC form (RFC 9106): `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const argon2 = {
  name: 'argon2',
  costOf(hash) {
    const [, memory, passes] = FORM.exec(hash) ?? []
    if (memory === undefined) return undefined
    const mebibytes = Number(memory) / 1024
    return { mebibytes, milliseconds: mebibytes * Number(passes) * 0.6 }
  },
  matches: (hash, password) => verifySync(hash, password),
}
