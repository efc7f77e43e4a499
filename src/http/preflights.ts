import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by @fastify/cors on OPTIONS requests, if any origin is allowed. */
    corsPreflightEnabled?: boolean
  }
}

/**
 * Answers CORS preflights on any path. Headers are set by then (security.ts), and the throttle has counted them; unknown
 * paths and methods are refused later, as no route has OPTIONS.
 */
export const preflights = plugin(
  (app, _options, done) => {
    app.addHook('onRequest', (request, reply, next) => {
      if (!request.corsPreflightEnabled || !isPreflight(request)) return next()
      reply.code(204).header('content-length', '0').send()
    })
    done()
  },
  { name: 'preflights', dependencies: ['security', 'throttle'] },
)

const isPreflight = ({ headers }: FastifyRequest) =>
  headers.origin !== undefined && headers['access-control-request-method'] !== undefined
