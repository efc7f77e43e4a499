import { type IncomingHttpHeaders, type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyHttpOptions } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { BadRequest, HeadersTooLarge, RequestTimeout } from '../contract/errors.ts'
import { forwardedFor, trustOf } from '../text/network.ts'
import { READ_WITHIN_MS } from './deadline.ts'
import { errorBody } from './errors.ts'
import { parseFormText } from '../text/form-text.ts'
import { routerOptions, UNREADABLE_PATH } from './methods.ts'
import { requestIds } from './observe/request-id.ts'

type Options = FastifyHttpOptions<Server>

/** Bytes of a body, unless the operation says more: the largest that has a use is a tenth of it. */
const BODY_LIMIT = 32 * 1024

/** How HTTP is spoken: sizes and times are bounded, and what can't even be routed is answered in the contract's shape. */
export function serverOptions(config: Pick<Config, 'trustedProxies'>, logger: Logger | undefined): Options {
  const requestId = requestIds(config.trustedProxies)
  const trusts = config.trustedProxies.length > 0 ? trustOf(config.trustedProxies) : undefined
  return {
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    // The first that is asked about a request: its log line says where it comes from already.
    genReqId: (request) => {
      if (trusts) settleForwarded(request.headers, trusts)
      return requestId(request)
    },
    // A busy machine may need more than the usual 10 s to make an embedded database.
    pluginTimeout: 60_000,
    trustProxy: trusts ?? false,
    bodyLimit: BODY_LIMIT,
    // A slow client, a forgotten connection: each ends by itself; so does a stuck handler (http/deadline.ts).
    requestTimeout: READ_WITHIN_MS + 5_000,
    connectionTimeout: 30_000,
    keepAliveTimeout: 72_000, // longer than the minute that balancers commonly keep a connection
    // A request without a host is refused by http/input/framing.ts, in the contract's shape.
    http: { maxHeaderSize: 32 * 1024, headersTimeout: 10_000, requireHostHeader: false },
    // Requests that arrive on open connections while stopping are answered, not refused.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Node takes nothing but ASCII in a URL, so that each character of a query is a byte.
    routerOptions: { ...routerOptions, querystringParser: parseFormText },
    // Of paths that can't be read. Answered here, they would pass no hook: no limit, no metric, no security headers.
    frameworkErrors: (_error, { raw, server }, reply) => {
      raw.url = UNREADABLE_PATH
      server.routing(raw, reply.raw)
    },
    clientErrorHandler: (error, socket) => refuse(socket, error.code),
  }
}

/** Leaves of X-Forwarded-For what Fastify is to take for the client, read once, where it reads it whenever it is asked. */
function settleForwarded(headers: IncomingHttpHeaders, trusts: ReturnType<typeof trustOf>): void {
  const header = headers['x-forwarded-for']
  if (header === undefined) return
  const client = forwardedFor(String(header), trusts)
  if (client === undefined) delete headers['x-forwarded-for']
  else headers['x-forwarded-for'] = client
}

/** What is not HTTP, or too much of it, gets the contract's shape too, and loses its connection. */
function refuse(socket: Socket, code: string | undefined): void {
  if (!socket.writable || code === 'ECONNRESET') return void socket.destroy()
  const error =
    code === 'HPE_HEADER_OVERFLOW'
      ? new HeadersTooLarge()
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new RequestTimeout()
        : new BadRequest()
  const body = JSON.stringify(errorBody(error))
  socket.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
