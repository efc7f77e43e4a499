import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { readEmail } from '../../text/email-address.ts'
import type { SigningIn } from '../users/find-user.ts'

/**
 * Checks the limits on guesses at an account, whether it exists or not: of a sign-in and of what else compares a password.
 * In a network that the account knows, its failures have a limit of their own: neither strangers nor somebody who guesses in the
 * same office lock the owner out.
 *
 * @returns what does so, and tells for whom the password is hashed, in the queue for hashing. @throws TooManyRequests
 */
export function guessLimits({ auth: { knownNetworks } }: Pick<App, 'auth'>) {
  return async (username: string, user: SigningIn | undefined, request: FastifyRequest) => {
    const { network } = request
    // By address, not by id: what was counted before a sign-up counts after it, or it would show who has an account.
    const account = (user?.email ?? readEmail(username)).toLowerCase()
    const isKnown = user !== undefined && knownNetworks.isKnown(user, network)
    if (!isKnown) await request.limitNetwork('login_network')
    await request.guess(
      ['login', account, network],
      ...(isKnown ? [] : [['login_by_strangers', account] as const]),
      ['sign_ins', account],
    )
    return JSON.stringify(isKnown ? [account, network] : [account])
  }
}
