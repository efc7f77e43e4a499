import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import plugin from 'fastify-plugin'
import { trustOf } from '../../text/network.ts'

/** A caller's id is kept where it is short and plain, so that one id follows a request through several services. */
const PLAIN = /^[\w-]{8,64}$/

/**
 * The id of a request: that of a proxy that is trusted, or a new one, for Fastify's `genReqId`. Anybody else could give
 * theirs the id of another's, or one id to all of them.
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
