import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The settings of this process. */
    readonly config: Config
  }
}

/** The settings, as `app.config`. */
export const settings = plugin(
  (app, { config }: { config: Config }, done) => {
    app.decorate('config', config)
    done()
  },
  { name: 'settings' },
)
