import { type IncomingHttpHeaders, type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type FastifyHttpOptions, LogController } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { BODY_LIMIT } from '../config/limits.ts'
import { BadRequest, HeadersTooLarge, RequestTimeout } from '../contract/errors.ts'
import { forwardedFor, trustOf } from '../text/network.ts'
import { READ_WITHIN_MS } from './deadline.ts'
import { errorBody } from './errors.ts'
import { parseFormText } from '../text/form-text.ts'
import { LONGEST_PATH, routerOptions, TOO_LONG_PATH, UNREADABLE_PATH } from './methods.ts'
import { requestIds } from './observe/request-id.ts'
import { buildSerializer } from './serialization.ts'

type Options = FastifyHttpOptions<Server>

/** Requests are logged by observe/ending.ts, aborted ones too. */
export const requestLines = new LogController({ disableRequestLogging: true })

/** Options of Fastify and Node's HTTP server: limits of size and time, and errors of what can't be routed. */
export function serverOptions(config: Pick<Config, 'trustedProxies'>, logger: Logger | undefined): Options {
  const requestId = requestIds(config.trustedProxies)
  const trusts = config.trustedProxies.length > 0 ? trustOf(config.trustedProxies) : undefined
  return {
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    logController: requestLines,
    schemaController: { compilersFactory: { buildSerializer } },
    // Called first for a request, before its address is read for the log.
    genReqId: (request) => {
      if (trusts) settleForwarded(request.headers, trusts)
      return requestId(request)
    },
    // Creating an embedded database may take more than the default of 10 s.
    pluginTimeout: 60_000,
    trustProxy: trusts ?? false,
    bodyLimit: BODY_LIMIT,
    // Limits for slow clients and idle connections; for stuck handlers see deadline.ts.
    requestTimeout: READ_WITHIN_MS + 5_000,
    connectionTimeout: 30_000,
    keepAliveTimeout: 72_000, // longer than the minute that balancers commonly keep a connection
    // Requests without Host are refused by input/framing.ts, with an error body.
    http: { maxHeaderSize: 32 * 1024, headersTimeout: 10_000, requireHostHeader: false },
    // While stopping, requests on open connections are still answered (stopping.ts).
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Node accepts only ASCII in a URL, so each character of a query is one byte.
    routerOptions: { ...routerOptions, querystringParser: parseFormText },
    rewriteUrl: ({ url = '' }) => (isTooLong(url) ? TOO_LONG_PATH : url),
    // For paths that can't be decoded. Rerouted, so that hooks run: limits, metrics, security headers.
    frameworkErrors: (_error, { raw, server }, reply) => {
      raw.url = UNREADABLE_PATH
      server.routing(raw, reply.raw)
    },
    clientErrorHandler: (error, socket) => refuse(socket, error.code),
  }
}

/** Without its query. */
const isTooLong = (url: string) => url.length > LONGEST_PATH && !url.slice(0, LONGEST_PATH + 1).includes('?')

/** Reduces X-Forwarded-For to the client's address, once; Fastify would parse it at each access. */
function settleForwarded(headers: IncomingHttpHeaders, trusts: ReturnType<typeof trustOf>): void {
  const header = headers['x-forwarded-for']
  if (header === undefined) return
  const client = forwardedFor(String(header), trusts)
  if (client === undefined) delete headers['x-forwarded-for']
  else headers['x-forwarded-for'] = client
}

/** Answers invalid or too large HTTP with an error body, and closes the connection. */
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
