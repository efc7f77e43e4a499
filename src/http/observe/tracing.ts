import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../../config/config.ts'
import { trustOf } from '../../text/network.ts'
import {
  type RequestSpan,
  startRequestSpan,
  startTracing,
  traceIds,
  tracingIsOn,
  untraced,
} from '../../config/spans.ts'

/** How long a stop waits for the last spans to be sent. */
const FLUSH_MS = 2_000

/**
 * A span for each request, its ids in the request's log lines. Loads nothing unless traces are switched on.
 * Not @fastify/otel: its spans carry the path, which may hold a token, and never end where the client leaves (0.18).
 */
export const tracing = plugin(
  async (app, { config }: { config: Config }) => {
    if (!tracingIsOn(config)) return
    const stop = await startTracing(config)
    const isTrusted = trustOf(config.trustedProxies)
    const spans = new WeakMap<FastifyRequest, RequestSpan>()

    app.addHook('onRequest', (request, reply, next) => {
      // Only a trusted proxy may choose the trace and its sampling.
      if (request.routeOptions.config.probe) return untraced(next)
      const caller = isTrusted(request.raw.socket.remoteAddress) ? request.headers : {}
      const traced = startRequestSpan(caller, request.method, request.routeOptions.url)
      if (!traced) return next()
      spans.set(request, traced)
      request.log = reply.log = request.log.child(traceIds(traced.span))
      traced.within(next)
    })
    // Again: the body parser calls back outside of the request's context.
    app.addHook('preValidation', (request, _reply, next) => {
      const traced = spans.get(request)
      if (traced) traced.within(next)
      else next()
    })
    app.onEnded((request, _reply, status) => spans.get(request)?.end(status))
    app.addHook('onClose', () => Promise.race([stop(), pause(FLUSH_MS, undefined, { ref: false })]))
  },
  { name: 'tracing', dependencies: ['ending'] },
)
