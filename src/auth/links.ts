import { CommonPassword, InactiveUser, InvalidToken } from '../errors.ts'
import { isCommonPassword } from './common-passwords.ts'
import type { KnownNetworks } from './known-networks.ts'
import type { OneTimeTokens } from './one-time-tokens.ts'
import type { Passwords } from './passwords.ts'
import type { Recovery } from './recovery.ts'
import type { Verification } from './verification.ts'

/** What the links in mails are good for; both give the id of the user whose link it was. */
export interface Links {
  /**
   * The network that it comes from is known to the account afterwards: whom strangers keep from signing in on a new one
   * gets in this way.
   *
   * @throws InvalidToken, InactiveUser, CommonPassword, ServiceUnavailable
   */
  resetPassword(token: string, newPassword: string, from: Origin): Promise<string>
  /** @throws InvalidToken */
  verifyEmail(token: string): Promise<string>
}

/** Where somebody is, as an address and as whom limits count as one. */
export interface Origin {
  readonly ip: string
  readonly network: string
}

interface Parts {
  readonly knownNetworks: KnownNetworks
  readonly oneTimeTokens: OneTimeTokens
  readonly passwords: Passwords
  readonly recovery: Recovery
  readonly verification: Verification
}

export const links = ({ knownNetworks, oneTimeTokens, passwords, recovery, verification }: Parts): Links => ({
  async resetPassword(text, newPassword, { ip, network }) {
    const token = await oneTimeTokens.find('reset_password', text)
    if (!token) throw new InvalidToken()
    if (!token.user_is_active) throw new InactiveUser()
    if (await isCommonPassword(newPassword)) throw new CommonPassword('new_password')
    const done = await recovery.reset(token, await passwords.hash(newPassword), ip)
    if (!done) throw new InvalidToken()
    await knownNetworks.remember(token.user_id, network)
    return token.user_id
  },
  async verifyEmail(text) {
    const token = await oneTimeTokens.find('verify_email', text)
    if (!token || !(await verification.verify(token))) throw new InvalidToken()
    return token.user_id
  },
})
