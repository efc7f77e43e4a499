import type { IncomingMessage, ServerResponse } from 'node:http'
import plugin from 'fastify-plugin'
import { ExpectationFailed } from '../../contract/errors.ts'

/**
 * Refuses `Expect` with anything but 100-continue (RFC 9110, 10.1.1). Node would answer it by itself, without any hook:
 * no limit, no metric, no log line. So it is passed on as an ordinary request.
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
