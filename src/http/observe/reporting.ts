import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { release } from '../../config/build-info.ts'
import type { Config } from '../../config/config.ts'
import { describeError } from './logger.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Sends an error to Sentry, with the request's id and route; does nothing if Sentry is not configured. */
    readonly reportError: (error: unknown, request?: FastifyRequest) => void
    /** Resolves when pending reports are sent, or after 2 s. */
    readonly reported: () => Promise<unknown>
  }
}

const FLUSH_MS = 2_000

/**
 * Sentry, outside local if SENTRY_DSN is set; loaded only then, as it costs 0.25 s at start and 97 MB of memory.
 * An event has route, request id and stack; no body, address, header or query.
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
      // No automatic instrumentation: only what is sent below.
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
