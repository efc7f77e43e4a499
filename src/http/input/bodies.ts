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
    /** Whether its body is awaited. */
    reading: boolean
  }
}

/**
 * Bodies: JSON, or a form where the route's schema says `consumes` (in parts too, where it says `multipart`); anything else is 415. An empty body counts as no
 * body, whatever its content type, and one that the route has no schema for is passed over, as Fastify does with GET:
 * what the document does not name can't be answered with an error that it does not name.
 */
export const bodies = plugin(
  (app, _options, done) => {
    // Fastify's own parser, which refuses __proto__ and constructor.prototype.
    const parseJson = app.getDefaultJsonParser('error', 'error')
    const parsers: Record<string, Parser> = {
      [JSON_TYPE]: (request, body, parsed) => {
        // Decoding would put U+FFFD where bytes are wrong, and that would be stored.
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
      // What is injected has no such field, and no connection.
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

/** Bytes. Who sends a little too much hears so, and their connection goes on. */
const PASSED_OVER = 16 * 1024 * 1024

/**
 * Reads what is left of a body that is answered already, as far as that: Node would read on for as long as a request may
 * take, whatever its limit. To hang up at once would be too early, as a client that is still sending would not read the
 * answer.
 */
function passOver(request: IncomingMessage): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > PASSED_OVER) request.socket.destroy()
  })
}

/** Fastify itself looks for no body there. */
const BODYLESS = new Set(['GET', 'HEAD', 'TRACE'])

/** Without them Fastify looks for no body. */
const BODY_HEADERS = ['content-type', 'content-length', 'transfer-encoding']

const takesBody = ({ routeOptions }: FastifyRequest) => routeOptions.schema?.body !== undefined

/** Told by the headers (RFC 9112, 6.3): then its type, which may be none at all, does not matter. */
const hasNoBody = (headers: IncomingHttpHeaders) =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0

type Parser = (
  request: FastifyRequest,
  body: Buffer,
  parsed: (error: Error | null, body?: unknown) => void,
) => void
