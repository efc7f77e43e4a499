import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the service is told to stop: requests are still answered, readiness says no. */
    readonly stopping: AbortSignal
    /** Tells it. Closing the app comes after. */
    readonly beginStopping: () => void
  }
}

/** While stopping, every answer asks its client to close the connection, so that keep-alive does not hold up the end. */
export const stopping = plugin(
  (app, _options, done) => {
    const controller = new AbortController()
    app.decorate('stopping', controller.signal)
    app.decorate('beginStopping', () => controller.abort())
    app.addHook('onSend', (_request, reply, payload, next) => {
      if (controller.signal.aborted) reply.header('connection', 'close')
      next(null, payload)
    })
    done()
  },
  { name: 'stopping' },
)
