import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { release } from '../../config/build-info.ts'
import type { Config } from '../../config/config.ts'
import { describeError } from './logger.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Tells Sentry of a fault of ours, and in which request; does nothing where Sentry is not configured. */
    readonly reportError: (error: unknown, request?: FastifyRequest) => void
    /** Resolves when what was reported is on its way, or 2 s later. */
    readonly reported: () => Promise<unknown>
  }
}

const FLUSH_MS = 2_000

/**
 * Sentry, outside local and where SENTRY_DSN is set; loaded only then, as it costs a quarter of a second and 97 MB.
 * An event says which route and which request, and where in the code: no body, no address, no header, no query.
 */
export const reporting = plugin(
  async (app, { config }: { config: Config }) => {
    if (config.SENTRY_DSN === undefined || config.ENVIRONMENT === 'local') {
      app.decorate('reportError', () => undefined)
      app.decorate('reported', () => Promise.resolve())
      return
    }
    const sentry = await import('@sentry/node')
    sentry.init({
      dsn: config.SENTRY_DSN,
      environment: config.ENVIRONMENT,
      release: `groundwork@${release}`,
      // Nothing listens to requests, consoles or queries by itself: what is sent is what is said below.
      defaultIntegrations: false,
      dataCollection: { userInfo: false, cookies: false, httpBodies: [], databaseQueryData: false },
    })
    app.decorate('reportError', (error: unknown, request?: FastifyRequest) => {
      const { type, message, code, stack } = describeError(error)
      const event = Object.assign(new Error(message), { name: type, stack: `${type}: ${message}\n${stack}` })
      sentry.withScope((scope) => {
        scope.setTags({
          request_id: request?.id,
          route: request?.routeOptions.url,
          method: request?.method,
          code,
        })
        sentry.captureException(event)
      })
    })
    app.decorate('reported', () => sentry.flush(FLUSH_MS))
    app.addHook('onClose', async () => void (await sentry.close(FLUSH_MS)))
  },
  { name: 'reporting' },
)
