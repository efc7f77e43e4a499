import type { FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Uses a mailed link up, and tells whoever has to know. @throws InvalidToken, InactiveUser, CommonPassword */
    resetPassword(form: NewPassword, reply: FastifyReply): Promise<void>
    /** Uses a mailed link up. @throws InvalidToken */
    verifyEmail(token: string): Promise<void>
  }
}

interface NewPassword {
  readonly token: string
  readonly new_password: string
}

/** What the links in mails are good for, whether a frontend asks for it or a page of the service's own. */
export const links = plugin(
  (app, _options, done) => {
    app.decorateRequest(
      'resetPassword',
      async function (this: FastifyRequest, { token, new_password }: NewPassword, reply: FastifyReply) {
        const turnOf = (account: string) => reply.turn(account)
        const { user_id, email } = await app.auth.links.resetPassword(token, new_password, this, turnOf)
        // Somebody else of this network may have guessed too often: whoever has the link gets in here.
        await this.forget('login', email.toLowerCase(), this.network)
        app.removeEndedSessionsOf(user_id)
        this.record('password_changed', { user_id })
        app.mail.wake()
      },
    )
    app.decorateRequest('verifyEmail', async function (this: FastifyRequest, token: string) {
      this.record('address_verified', { user_id: await app.auth.links.verifyEmail(token) })
    })
    done()
  },
  { name: 'links', dependencies: ['auth', 'events', 'mail', 'rate-limit', 'turns'] },
)
