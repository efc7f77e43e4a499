import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import plugin from 'fastify-plugin'
import { trustOf } from '../../text/network.ts'

/** Ids that are taken over from a trusted proxy, so that one id follows a request through several services. */
const PLAIN = /^[\w-]{8,64}$/

/**
 * For Fastify's `genReqId`: X-Request-Id of a trusted proxy, or a new id. Other clients can't choose it: they could
 * reuse another request's.
 */
export function requestIds(trustedProxies: readonly string[]): (request: Incoming) => string {
  const isTrusted = trustOf(trustedProxies)
  return ({ headers, socket }) => {
    const given = headers['x-request-id']
    const isKept = typeof given === 'string' && PLAIN.test(given) && isTrusted(socket.remoteAddress)
    return isKept ? given : randomUUID()
  }
}

type Incoming = Pick<IncomingMessage, 'headers' | 'socket'>

/** X-Request-Id on every answer. */
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
