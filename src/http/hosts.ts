import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { UnknownHost } from '../contract/errors.ts'
import { ownHosts } from '../config/own-hosts.ts'

/**
 * Protects local development from DNS rebinding: /private and the inbox need no sign-in there, so requests are answered
 * only under this machine's own host names.
 */
export const hosts = plugin(
  (app, { config }: { config: Config }, done) => {
    if (config.ENVIRONMENT !== 'local') return done()
    const isOwn = ownHosts(config)
    app.addHook('onRequest', ({ headers: { host } }, _reply, next) => {
      // Browsers always send it. HTTP/1.0 may leave it out; HTTP/1.1 without it is refused in input/framing.ts.
      next(host === undefined || isOwn(host) ? undefined : new UnknownHost())
    })
    done()
  },
  { name: 'hosts' },
)
