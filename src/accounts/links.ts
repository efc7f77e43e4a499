import type { Config } from '../config/config.ts'
import { CommonPassword, InactiveUser, InvalidToken } from '../contract/errors.ts'
import { isGuessable } from './passwords/common-passwords.ts'
import type { KnownNetworks } from './known-networks.ts'
import type { OneTimeTokens } from './one-time-tokens.ts'
import type { Passwords } from './passwords/passwords.ts'
import type { Recovery } from './recovery.ts'
import type { Turn } from './passwords/turns.ts'
import type { Verification } from './verification.ts'

/** What the links in mails are good for; both say whose link it was. */
export interface Links {
  /**
   * The network that it comes from is known to the account afterwards: whom strangers keep from signing in on a new one
   * gets in this way.
   *
   * @param turnOf an account's turn to have a password hashed
   * @throws InvalidToken, InactiveUser, CommonPassword, ServiceUnavailable, TooManyRequests
   */
  resetPassword(
    token: string,
    newPassword: string,
    from: Origin,
    turnOf: (account: string) => Turn,
  ): Promise<{ user_id: string; email: string }>
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

export const links = (
  { knownNetworks, oneTimeTokens, passwords, recovery, verification }: Parts,
  { PROJECT_NAME: project }: Pick<Config, 'PROJECT_NAME'>,
): Links => ({
  async resetPassword(text, newPassword, { ip, network }, turnOf) {
    const token = await oneTimeTokens.find('reset_password', text)
    if (!token) throw new InvalidToken()
    if (!token.user_is_active) throw new InactiveUser()
    if (await isGuessable(newPassword, { email: token.email, project }))
      throw new CommonPassword('new_password')
    const hash = await passwords.hash(newPassword, turnOf(token.user_id))
    const done = await recovery.reset(token, hash, ip)
    if (!done) throw new InvalidToken()
    await knownNetworks.remember(token.user_id, network)
    return { user_id: token.user_id, email: token.email }
  },
  async verifyEmail(text) {
    const token = await oneTimeTokens.find('verify_email', text)
    if (!token || !(await verification.verify(token))) throw new InvalidToken()
    return token.user_id
  },
})
