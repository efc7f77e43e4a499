import { Type } from '@sinclair/typebox'
import { NewPasswordText } from '../../contract/contract.ts'

/** The forms of the pages: what POST /reset-password/ and POST /verify-email/ of the API take, as browsers send it. */

const consumes = ['application/x-www-form-urlencoded']
const Token = Type.String()

/** What a mailed link leads to. Without a token it is as good as one with a wrong token. */
export const opened = { hide: true, querystring: Type.Object({ token: Type.String({ default: '' }) }) }
export const resetPassword = {
  hide: true,
  consumes,
  body: Type.Object({ token: Token, new_password: NewPasswordText }),
}
export const verifyEmail = { hide: true, consumes, body: Type.Object({ token: Token }) }
