import type { Server } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { setImmediate as nextLook, setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the service is told to stop: requests are still answered, readiness says no. */
    readonly stopping: AbortSignal
    /** Tells it, and resolves when the clients that are active have been asked to go. Closing the app comes after. */
    readonly beginStopping: () => Promise<void>
  }
}

/** So long all goes on as before, but for readiness: balancers that ask for it send new connections elsewhere. */
const NOTICE_MS = 1_000

/**
 * How long connections are still served after that. One that is closed while its client sends is a request lost, so each
 * gets the time to ask once more and to be answered with `Connection: close`; those that stay silent are closed then.
 */
const GRACE_MS = 1_000

/**
 * Connections are kept open until no new ones are taken: told to close earlier, a balancer makes a new one for each
 * request, and those that were made and not yet accepted when a socket stops listening are reset.
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

/** Within which a look at what has come in did nothing but look. */
const QUICK_MS = 0.1

/**
 * Takes no new connections. It is done just after a look for them that was quick and found none, so that hardly any
 * moment is left in which one could be made and not accepted. Those that are open stay.
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
  // That of HTTP closes idle connections too, whose clients may be sending.
  NetServer.prototype.close.call(server)
}

/**
 * Those that never sent a request (a browser's preconnect). Node counts them as busy, and would wait for them.
 *
 * @returns as they are at any time
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
