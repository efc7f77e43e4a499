import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the service is told to stop: requests are still answered, readiness says no. */
    readonly stopping: AbortSignal
    /** Tells it, and resolves when the clients that are active have been asked to go. Closing the app comes after. */
    readonly beginStopping: () => Promise<void>
  }
}

/**
 * How long connections are still served. A connection that is closed while its client sends is a request lost, so each
 * gets the time to ask once more and to be answered with `Connection: close`; those that stay silent are closed then.
 */
const GRACE_MS = 1_000

/** While stopping, every answer asks its client to close the connection. */
export const stopping = plugin(
  (app, _options, done) => {
    const controller = new AbortController()
    const waiting = connectionsWithoutRequest(app.server)
    app.decorate('stopping', controller.signal)
    app.decorate('beginStopping', async () => {
      controller.abort()
      const end = Date.now() + GRACE_MS
      while (Date.now() < end && (await openConnections(app.server)) > 0) await pause(20)
      for (const socket of waiting) socket.destroy()
    })
    app.addHook('onSend', (_request, reply, payload, next) => {
      if (controller.signal.aborted) reply.header('connection', 'close')
      next(null, payload)
    })
    done()
  },
  { name: 'stopping' },
)

/** Node counts a connection that never sent a request (a browser's preconnect) as busy, and would wait for it. */
function connectionsWithoutRequest(server: Server): ReadonlySet<Socket> {
  const waiting = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    waiting.add(socket)
    socket.once('close', () => waiting.delete(socket))
  })
  server.on('request', ({ socket }, response) => {
    waiting.delete(socket)
    response.once('close', () => !socket.destroyed && waiting.add(socket))
  })
  return waiting
}

const openConnections = (server: Server) =>
  new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)))
