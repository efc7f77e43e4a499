import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { UnreadableBody, UnsupportedMediaType } from '../../contract/errors.ts'
import { parseFormText } from '../../text/form-text.ts'
import { parseMultipart } from './multipart.ts'

const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'
const MULTIPART_TYPE = 'multipart/form-data'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether its body is being read. */
    reading: boolean
  }
}

/**
 * Bodies: JSON, or a form if the route's schema says `consumes` (as multipart/form-data too, if it says `multipart`);
 * anything else is 415. An empty body counts as none, whatever its content type. A body for a route without a schema for
 * it is ignored, as its document names no error for one.
 */
export const bodies = plugin(
  (app, _options, done) => {
    // Fastify's own parser, which refuses __proto__ and constructor.prototype.
    const parseJson = app.getDefaultJsonParser('error', 'error')
    const parsers: Record<string, Parser> = {
      [JSON_TYPE]: (request, body, parsed) => {
        // Invalid bytes would be decoded as U+FFFD, and stored.
        if (!isUtf8(body)) return parsed(new UnreadableBody())
        void parseJson(request, body.toString('utf8'), (error, json: unknown) =>
          parsed(error && new UnreadableBody(), json),
        )
      },
      [FORM_TYPE]: (_request, body, parsed) => parsed(null, parseFormText(body.toString('latin1'))),
      [MULTIPART_TYPE]: ({ headers }, body, parsed) =>
        void parseMultipart(body, headers['content-type'] ?? '').then(
          (fields) => parsed(null, fields),
          (error: Error) => parsed(error),
        ),
      '*': (_request, _body, parsed) => parsed(new UnsupportedMediaType()),
    }
    app.removeAllContentTypeParsers()
    app.decorateRequest('reading', false)
    app.addHook('onRoute', (route) => {
      const limit = route.schema?.bodyLimit
      if (limit !== undefined) route.bodyLimit = limit
    })
    app.addHook('preParsing', (request, _reply, _payload, next) => {
      if (!BODYLESS.has(request.method) && (hasNoBody(request.headers) || !takesBody(request))) {
        for (const name of BODY_HEADERS) delete request.headers[name]
      } else request.reading = !BODYLESS.has(request.method)
      next()
    })
    app.addHook('onSend', ({ raw }, _reply, payload, next) => {
      // Injected requests have neither this field nor a connection.
      if ('complete' in raw && !raw.complete) passOver(raw)
      next(null, payload)
    })
    for (const [type, parse] of Object.entries(parsers)) {
      app.addContentTypeParser<Buffer>(type, { parseAs: 'buffer' }, (request, body, parsed) => {
        request.reading = false
        if (body.length === 0) return parsed(null, undefined)
        const { consumes = [JSON_TYPE], multipart } = request.routeOptions.schema ?? {}
        if (type === MULTIPART_TYPE ? !multipart : !consumes.includes(type))
          return parsed(new UnsupportedMediaType())
        parse(request, body, parsed)
      })
    }
    done()
  },
  { name: 'bodies' },
)

/** Bytes. A client that sends a little too much keeps its connection. */
const PASSED_OVER = 16 * 1024 * 1024

/**
 * Reads and discards the rest of a body that was answered early, up to a limit, then closes the connection. Node would
 * read on without one; closing at once would be too early, as a client that is still sending would not read the answer.
 */
function passOver(request: IncomingMessage): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > PASSED_OVER) request.socket.destroy()
  })
}

/** Methods for which Fastify reads no body. */
const BODYLESS = new Set(['GET', 'HEAD', 'TRACE'])

/** Without these headers Fastify reads no body. */
const BODY_HEADERS = ['content-type', 'content-length', 'transfer-encoding']

const takesBody = ({ routeOptions }: FastifyRequest) => routeOptions.schema?.body !== undefined

/** By its headers (RFC 9112, 6.3); its content type does not matter then. */
const hasNoBody = (headers: IncomingHttpHeaders) =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0

type Parser = (
  request: FastifyRequest,
  body: Buffer,
  parsed: (error: Error | null, body?: unknown) => void,
) => void
