import type { IncomingMessage, ServerResponse } from 'node:http'
import plugin from 'fastify-plugin'
import { ExpectationFailed } from '../../contract/errors.ts'

/**
 * Refuses `Expect` with anything but 100-continue (RFC 9110, 10.1.1). Node would do so by itself, and such a request
 * would pass no hook: no limit, no metric, no log line. So it comes as any other.
 */
export const expectations = plugin(
  (app, _options, done) => {
    const unmet = new WeakSet<IncomingMessage>()
    app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      unmet.add(request)
      app.server.emit('request', request, response)
    })
    app.addHook('onRequest', ({ raw }, _reply, next) => {
      next(unmet.has(raw) ? new ExpectationFailed() : undefined)
    })
    done()
  },
  { name: 'expectations', dependencies: ['errors', 'throttle'] },
)
