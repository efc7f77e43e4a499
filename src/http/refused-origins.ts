import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { isLoopbackUrl, readOrigin } from '../text/text-values.ts'

/** So many origins are told, then no more: whoever asks chooses them. */
const MOST_TOLD = 20

/**
 * In local, a line of log for each frontend on this machine that CORS refuses, which names the setting: a browser shows only
 * that something failed. Of other origins nothing is said, as nobody should be led to allow a page that tries its luck.
 */
export const refusedOrigins = plugin(
  (app, { config }: { config: Config }, done) => {
    if (config.ENVIRONMENT !== 'local') return done()
    const allowed = new Set(config.corsOrigins)
    const told = new Set<string>()
    app.addHook('onRequest', (request, _reply, next) => {
      const { origin } = request.headers
      if (origin === undefined || allowed.has(origin) || told.has(origin) || told.size >= MOST_TOLD)
        return next()
      if (isLoopbackUrl(origin) && readOrigin(origin) === origin && isOfOtherOrigin(request)) {
        told.add(origin)
        request.log.warn(`CORS: ${origin} may not call this service; add it to BACKEND_CORS_ORIGINS`)
      }
      next()
    })
    done()
  },
  { name: 'refused-origins', dependencies: ['security', 'throttle'] },
)

/** A preflight, or what browsers say of a request that needs none, such as a sign-in. Forms of our pages are no such request. */
const isOfOtherOrigin = ({ method, headers }: FastifyRequest) =>
  method === 'OPTIONS' ||
  (headers['sec-fetch-mode'] === 'cors' && headers['sec-fetch-site'] !== 'same-origin')
