import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../config.ts'
import { type RequestSpan, startRequestSpan, startTracing, traceIds, tracingIsOn } from '../tracing.ts'

/** The last spans are worth that long a wait at the end. */
const FLUSH_MS = 2_000

/** A span for each request, its id in the request's log lines. Does nothing, and loads nothing, unless switched on. */
export const tracing = plugin(
  async (app, { config }: { config: Config }) => {
    if (!tracingIsOn(config)) return
    const stop = await startTracing(config)
    const spans = new WeakMap<FastifyRequest, RequestSpan>()

    app.addHook('onRequest', (request, reply, next) => {
      const traced = startRequestSpan(request.headers, request.method, request.route.url)
      if (!traced) return next()
      spans.set(request, traced)
      request.log = reply.log = request.log.child(traceIds(traced.span))
      traced.within(next)
    })
    // Once more: what reads the body calls back from outside of the request's context.
    app.addHook('preValidation', (request, _reply, next) => {
      const traced = spans.get(request)
      if (traced) traced.within(next)
      else next()
    })
    app.addHook('onResponse', (request, reply, next) => {
      spans.get(request)?.end(reply.statusCode)
      next()
    })
    app.addHook('onClose', () => Promise.race([stop(), pause(FLUSH_MS, undefined, { ref: false })]))
  },
  { name: 'tracing', dependencies: ['route'] },
)
