import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Uses a mailed link up, and tells whoever has to know. @throws InvalidToken, InactiveUser, CommonPassword */
    resetPassword(token: string, newPassword: string): Promise<void>
    /** Uses a mailed link up. @throws InvalidToken */
    verifyEmail(token: string): Promise<void>
  }
}

/** What the links in mails are good for, whether a frontend asks for it or a page of the service's own. */
export const links = plugin(
  (app, _options, done) => {
    app.decorateRequest(
      'resetPassword',
      async function (this: FastifyRequest, token: string, newPassword: string) {
        const user_id = await app.auth.links.resetPassword(token, newPassword, this)
        this.record('password_changed', { user_id })
        app.mail.wake()
      },
    )
    app.decorateRequest('verifyEmail', async function (this: FastifyRequest, token: string) {
      this.record('address_verified', { user_id: await app.auth.links.verifyEmail(token) })
    })
    done()
  },
  { name: 'links', dependencies: ['auth', 'events', 'mail', 'throttle'] },
)
