import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

/** What happens to accounts, for whoever watches over them (OWASP ASVS 16.3). README's table says when each is logged. */
export type SecurityEvent =
  | 'sign_in'
  | 'sign_out'
  | 'refresh_reuse'
  | 'session_ended'
  | 'password_changed'
  | 'address_changed'
  | 'address_verified'
  | 'recovery_requested'
  | 'user_registered'
  | 'user_created'
  | 'user_updated'
  | 'user_deleted'

/** Ids alone: no address, name, token or password. */
interface About {
  /** Whose account it is, where that is known. */
  readonly user_id?: string | undefined
  readonly session_id?: string | undefined
  /** Why it failed. Without one, it succeeded. */
  readonly reason?: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Logs a security event: who (`actor_id`, where somebody is signed in), from where, to whose account, how it went. */
    record(event: SecurityEvent, about?: About): void
  }
}

/** Security events, one shape for all: `{event, outcome, actor_id, user_id, session_id, reason, ip}` and the request's id. */
export const events = plugin(
  (app, _options, done) => {
    app.decorateRequest('record', function (this: FastifyRequest, event: SecurityEvent, about: About = {}) {
      const { user, ip } = this
      const outcome = about.reason === undefined ? 'success' : 'failure'
      // The guard of the public scope sets no user.
      const actor = user as typeof user | undefined
      this.log.info(
        { event, outcome, actor_id: actor?.id, user_id: actor?.id, ip, ...about },
        'security event',
      )
    })
    done()
  },
  { name: 'events', dependencies: ['auth'] },
)
