import { CommonPassword, InactiveUser, InvalidToken } from '../errors.ts'
import { isCommonPassword } from './common-passwords.ts'
import type { OneTimeTokens } from './one-time-tokens.ts'
import type { Passwords } from './passwords.ts'
import type { Recovery } from './recovery.ts'
import type { Verification } from './verification.ts'

/** What the links in mails are good for; both give the id of the user whose link it was. */
export interface Links {
  /** @throws InvalidToken, InactiveUser, CommonPassword, ServiceUnavailable */
  resetPassword(token: string, newPassword: string, ipAddress: string): Promise<string>
  /** @throws InvalidToken */
  verifyEmail(token: string): Promise<string>
}

interface Parts {
  readonly oneTimeTokens: OneTimeTokens
  readonly passwords: Passwords
  readonly recovery: Recovery
  readonly verification: Verification
}

export const links = ({ oneTimeTokens, passwords, recovery, verification }: Parts): Links => ({
  async resetPassword(text, newPassword, ipAddress) {
    const token = await oneTimeTokens.find('reset_password', text)
    if (!token) throw new InvalidToken()
    if (!token.user_is_active) throw new InactiveUser()
    if (await isCommonPassword(newPassword)) throw new CommonPassword('new_password')
    const done = await recovery.reset(token, await passwords.hash(newPassword), ipAddress)
    if (!done) throw new InvalidToken()
    return token.user_id
  },
  async verifyEmail(text) {
    const token = await oneTimeTokens.find('verify_email', text)
    if (!token || !(await verification.verify(token))) throw new InvalidToken()
    return token.user_id
  },
})
