import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { ClientClosedRequest } from '../../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Calls `listener` once per request: when the answer was sent, or the client hung up (status 499). */
    readonly onEnded: (listener: Listener) => void
  }
  interface FastifyRequest {
    /** Whether the answer was sent, or the client hung up. */
    ended: boolean
  }
}

type Listener = (request: FastifyRequest, reply: FastifyReply, status: number) => void

const { status: ABORTED } = ClientClosedRequest

/**
 * Ends every request exactly once, with the one log line that it has. Fastify runs onResponse only for answers that were
 * written completely (fastify#6208): requests whose client hung up before would be missing from metrics, traces and logs, and
 * what is kept for a request would leak.
 *
 * Watches connections, as of several pipelined responses Node emits `close` for the first only.
 */
export const ending = plugin(
  (app, _options, done) => {
    const listeners: Listener[] = []
    const openBySocket = new WeakMap<Socket, Set<FastifyReply>>()
    app.decorate('onEnded', (listener: Listener) => void listeners.push(listener))
    app.decorateRequest('ended', false)

    function openRequestsOf(socket: Socket): Set<FastifyReply> {
      let open = openBySocket.get(socket)
      if (!open) {
        const replies = (open = new Set())
        openBySocket.set(socket, replies)
        socket.once('close', () => {
          for (const reply of replies) end(reply, ABORTED)
        })
      }
      return open
    }
    function end(reply: FastifyReply, status: number) {
      const { request } = reply
      if (request.ended) return
      request.ended = true
      openBySocket.get(request.raw.socket)?.delete(reply)
      const message = status === ABORTED ? 'client closed request' : 'request completed'
      const res = { statusCode: status, request }
      reply.log.info({ req: request, res, responseTime: reply.elapsedTime }, message)
      for (const listener of listeners) listener(request, reply, status)
    }
    app.addHook('onRequest', ({ raw: { socket } }, reply, next) => {
      openRequestsOf(socket).add(reply)
      if (socket.closed) end(reply, ABORTED)
      next()
    })
    app.addHook('onResponse', (_request, reply, next) => {
      end(reply, reply.statusCode)
      next()
    })
    done()
  },
  { name: 'ending' },
)
