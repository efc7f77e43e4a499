import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import plugin from 'fastify-plugin'

/** A caller's id is kept where it is short and plain, so that one id follows a request through several services. */
const PLAIN = /^[\w-]{8,64}$/

/** The id of a request: the caller's, or a new one. For Fastify's `genReqId`. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && PLAIN.test(given) ? given : randomUUID()
}

/** Every answer says its request's id: people quote it, logs are searched by it. */
export const requestId = plugin(
  (app, _options, done) => {
    app.addHook('onRequest', (request, reply, next) => {
      reply.header('x-request-id', request.id)
      next()
    })
    done()
  },
  { name: 'request-id' },
)
