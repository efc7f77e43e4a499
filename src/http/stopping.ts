import type { Server } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { setImmediate as nextLook, setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when a stop begins: requests are still answered, /health/ready is 503. */
    readonly stopping: AbortSignal
    /** Begins a stop; resolves once active clients had the time to be answered with `Connection: close`. Then the app is closed. */
    readonly beginStopping: () => Promise<void>
  }
}

/** Time for balancers to see /health/ready fail, in which new connections are still accepted. */
const NOTICE_MS = 1_000

/**
 * Then, time for each open connection to send one more request, answered with `Connection: close`. A connection that is
 * closed while its client sends is a lost request; those that stay idle are closed after this.
 */
const GRACE_MS = 1_000

/**
 * A stop that loses no request behind a balancer. Fastify's close() and close-with-grace close idle connections at once,
 * on which the next request may be under way. `Connection: close` is sent only once the socket has stopped listening:
 * earlier, a balancer would open a new connection for each request, and those not accepted yet would be reset.
 */
export const stopping = plugin(
  (app, _options, done) => {
    const controller = new AbortController()
    const { server } = app
    const silent = silentConnections(server)
    let leaving = false
    app.decorate('stopping', controller.signal)
    app.decorate('beginStopping', async () => {
      leaving = !server.listening
      controller.abort()
      await untilNoConnection(server, NOTICE_MS)
      await stopListening(server)
      leaving = true
      await untilNoConnection(server, GRACE_MS)
      for (const socket of silent) socket.destroy()
      server.closeIdleConnections()
    })
    app.addHook('onSend', (_request, reply, payload, next) => {
      if (leaving) reply.header('connection', 'close')
      next(null, payload)
    })
    done()
  },
  { name: 'stopping' },
)

/** A turn of the event loop that took less accepted nothing. */
const QUICK_MS = 0.1

/**
 * Stops accepting connections, right after a turn of the event loop that found none, so that hardly any can be waiting in
 * the accept queue. Open connections stay.
 */
async function stopListening(server: Server) {
  let accepted = false
  const note = () => (accepted = true)
  server.on('connection', note)
  for (const end = Date.now() + GRACE_MS; server.listening && Date.now() < end;) {
    accepted = false
    const start = performance.now()
    await nextLook()
    if (!accepted && performance.now() - start < QUICK_MS) break
  }
  server.off('connection', note)
  // http.Server's own close() also closes idle connections, whose clients may be sending just now.
  NetServer.prototype.close.call(server)
}

/**
 * Connections without any request so far (a browser's preconnect). Node counts them as active and would wait for them.
 *
 * @returns a live set
 */
function silentConnections(server: Server): ReadonlySet<Socket> {
  const silent = new Set<Socket>()
  server.on('connection', (socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  server.on('request', ({ socket }) => silent.delete(socket))
  return silent
}

async function untilNoConnection(server: Server, withinMs: number) {
  for (const end = Date.now() + withinMs; Date.now() < end && (await openConnections(server)) > 0;)
    await pause(20)
}

const openConnections = (server: Server) =>
  new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)))
