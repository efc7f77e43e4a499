import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Uses a mailed link up. @throws InvalidToken */
    verifyEmail(token: string): Promise<void>
  }
}

/** What the links in mails are good for, whether a frontend asks for it or a page of the service's own. */
export const links = plugin(
  (app, _options, done) => {
    app.decorateRequest('verifyEmail', async function (this: FastifyRequest, token: string) {
      this.record('address_verified', { user_id: await app.auth.links.verifyEmail(token) })
    })
    done()
  },
  { name: 'links', dependencies: ['auth', 'events', 'mail', 'rate-limit', 'turns'] },
)
