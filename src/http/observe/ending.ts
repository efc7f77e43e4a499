import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { ClientClosedRequest } from '../../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Runs `listener` once for each request: when it was answered, or its client is gone (status 499). */
    readonly onEnded: (listener: Listener) => void
  }
  interface FastifyRequest {
    /** Whether it was answered, or nobody is there any more to hear an answer. */
    ended: boolean
  }
}

type Listener = (request: FastifyRequest, reply: FastifyReply, status: number) => void

/**
 * Every request that was begun is ended, once. Fastify runs onResponse for what was written to its end and for nothing
 * else (fastify#6208): a client that goes before would be in no metric, trace or log, and whatever is kept for a request
 * would be kept for ever.
 *
 * By connection, as Node closes but the first response of those that were asked for on one (pipelining).
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
          for (const reply of replies) abort(reply)
        })
      }
      return open
    }
    function end(reply: FastifyReply, status: number) {
      const { request } = reply
      if (request.ended) return
      request.ended = true
      openBySocket.get(request.raw.socket)?.delete(reply)
      for (const listener of listeners) listener(request, reply, status)
    }
    function abort(reply: FastifyReply) {
      const { status } = ClientClosedRequest
      const res = { statusCode: status, request: reply.request }
      reply.log.info({ res, responseTime: reply.elapsedTime }, 'the client went before it was answered')
      end(reply, status)
    }
    app.addHook('onRequest', ({ raw: { socket } }, reply, next) => {
      openRequestsOf(socket).add(reply)
      if (socket.closed) abort(reply)
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
