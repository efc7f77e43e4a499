import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { type Trail, trailOf } from '../audit/audit.ts'

/** Whom a mail with a link is asked for. */
export interface Recipient {
  /** As it would be stored: Accounts.spelling. */
  readonly email: string
  /** Whether the request comes from a network that the account signed in from, which has a limit of its own. */
  readonly is_known: boolean
}

/**
 * A mail with a link that anybody may ask for by address. The answer must not show who has an account: it is the same and
 * takes as long for every address. So a network's limit (`refusesLate` of the route) is answered at the end only: where the
 * account knows the network, the mail is queued all the same, as others in that network must not keep the owner from it.
 *
 * @param queue queues the mail, if there is such an account and it had not too many (limitLinks)
 * @returns what does so for a request. @throws TooManyRequests
 */
export function requestMail(app: App, queue: (recipient: Recipient & Trail) => Promise<unknown>) {
  const { accounts, knownNetworks, level } = app.auth

  return async (address: string, request: FastifyRequest) => {
    await level(async () => {
      const email = await accounts.spelling(address)
      const user = await accounts.findForSignIn(email)
      const is_known = user !== undefined && knownNetworks.isKnown(user, request.network)
      if (is_known || !request.tooMany) await queue({ email, is_known, ...trailOf(request) })
      app.mail.wake()
    })
    if (request.tooMany) throw request.tooMany
  }
}
