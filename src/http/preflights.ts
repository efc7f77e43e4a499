import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by @fastify/cors on OPTIONS requests, where there are origins at all. */
    corsPreflightEnabled?: boolean
  }
}

/**
 * Answers preflights, on any path. Their headers are set by then (security.ts); what is in front of everything is in
 * front of them, too, and what no route is for is looked at later, as OPTIONS is no method of any.
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
