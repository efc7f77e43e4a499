import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyHttpOptions, FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { routerOptions } from './plugins/methods.ts'
import { requestIdOf } from './plugins/request-id.ts'

type Options = FastifyHttpOptions<Server>

/** How HTTP is spoken: sizes and times are bounded, and what can't even be routed is answered in the contract's shape. */
export function serverOptions(config: Pick<Config, 'trustedProxies'>, logger: Logger | undefined): Options {
  return {
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    genReqId: requestIdOf,
    // A busy machine may need more than the usual 10 s to make an embedded database.
    pluginTimeout: 60_000,
    trustProxy: config.trustedProxies.length > 0 && [...config.trustedProxies],
    bodyLimit: 1024 * 1024,
    // A slow client, a forgotten connection: each ends by itself; so does a stuck handler (plugins/deadline.ts).
    requestTimeout: 20_000,
    connectionTimeout: 30_000,
    keepAliveTimeout: 72_000, // longer than the minute that balancers commonly keep a connection
    // A request without a host is refused by plugins/errors.ts, in the contract's shape.
    http: { maxHeaderSize: 32 * 1024, headersTimeout: 10_000, requireHostHeader: false },
    // Requests that arrive on open connections while stopping are answered, not refused.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions,
    frameworkErrors: (_error, request, reply) => {
      const answer = reply as unknown as FastifyReply
      void answer.code(400).header('x-request-id', request.id).send({ detail: 'Bad Request' })
    },
    clientErrorHandler: (error, socket) => refuse(socket, error.code),
  }
}

/** What is not HTTP, or too much of it, gets the contract's shape too, and loses its connection. */
function refuse(socket: Socket, code: string | undefined): void {
  if (!socket.writable || code === 'ECONNRESET') return void socket.destroy()
  const [status, text] =
    code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request']
  const body = JSON.stringify({ detail: text })
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
