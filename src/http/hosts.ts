import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { UnknownHost } from '../contract/errors.ts'
import { ownHosts } from '../config/own-hosts.ts'

/**
 * In local nothing is answered under a name that is not this machine's: users are made there without signing in, mails
 * are shown to whoever asks, and any page that the developer looks at could do both with a name of its own.
 */
export const hosts = plugin(
  (app, { config }: { config: Config }, done) => {
    if (config.ENVIRONMENT !== 'local') return done()
    const isOwn = ownHosts(config)
    app.addHook('onRequest', ({ headers: { host } }, _reply, next) => {
      // No browser leaves it out; HTTP/1.0 may, and HTTP/1.1 is refused for it (http/errors.ts).
      next(host === undefined || isOwn(host) ? undefined : new UnknownHost())
    })
    done()
  },
  { name: 'hosts' },
)
