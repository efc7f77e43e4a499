import { createCipheriv } from 'node:crypto'
import { bytesOf, isSame } from './base64.mjs'
import { scryptCost, scryptKey } from './scrypt.mjs'

const BASE64 = '[A-Za-z0-9+/_-]{1,172}={0,2}'
const FORM = new RegExp(
  String.raw`^\$fbscrypt\$v=1,n=([1-9]\d?),r=([1-9]\d?),p=([1-9]\d?),ss=(${BASE64}),sk=(${BASE64})\$(${BASE64})\$(${BASE64})$`,
)

/**
 * Firebase's own use of scrypt: it encrypts the project's signer key with what scrypt makes of the password. The form is that
 * of Supabase Auth: n is `mem_cost`, r `rounds`, ss the salt separator, sk the signer key, as Firebase shows them.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const firebase = {
  name: 'firebase',
  costOf(hash) {
    const [, n, r, p] = FORM.exec(hash) ?? []
    return n === undefined ? undefined : scryptCost(Number(n), Number(r), Number(p))
  },
  matches(hash, password) {
    const [, n, r, p, separator = '', signer = '', salt = '', encrypted = ''] = FORM.exec(hash) ?? []
    const salted = Buffer.concat([bytesOf(salt), bytesOf(separator)])
    const key = scryptKey(password, salted, 32, { ln: Number(n), r: Number(r), p: Number(p) })
    const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
    return isSame(cipher.update(bytesOf(signer)), bytesOf(encrypted))
  },
}
