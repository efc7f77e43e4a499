import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import { parse as parseForm } from 'node:querystring'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { UnreadableBody, UnsupportedMediaType } from '../errors.ts'

const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'

/**
 * Bodies: JSON, or a form where the route's schema says `consumes`; anything else is 415. An empty body counts as no
 * body, whatever its content type, and one that the route has no schema for is passed over, as Fastify does with GET:
 * what the document does not name can't be answered with an error that it does not name.
 */
export const bodies = plugin(
  (app, _options, done) => {
    // Fastify's own parser, which refuses __proto__ and constructor.prototype.
    const parseJson = app.getDefaultJsonParser('error', 'error')
    const parsers: Record<string, Parser> = {
      [JSON_TYPE]: (request, text, parsed) =>
        void parseJson(request, text, (error, json: unknown) => parsed(error && new UnreadableBody(), json)),
      [FORM_TYPE]: (_request, text, parsed) => parsed(null, parseForm(text)),
      '*': (_request, _text, parsed) => parsed(new UnsupportedMediaType()),
    }
    app.removeAllContentTypeParsers()
    app.addHook('preParsing', (request, _reply, _payload, next) => {
      if (!BODYLESS.has(request.method) && (hasNoBody(request.headers) || !takesBody(request))) {
        for (const name of BODY_HEADERS) delete request.headers[name]
      }
      next()
    })
    for (const [type, parse] of Object.entries(parsers)) {
      app.addContentTypeParser<Buffer>(type, { parseAs: 'buffer' }, (request, body, parsed) => {
        if (body.length === 0) return parsed(null, undefined)
        const { consumes = [JSON_TYPE] } = request.route.schema ?? {}
        if (!consumes.includes(type)) return parsed(new UnsupportedMediaType())
        // Decoding would put U+FFFD where bytes are wrong, and that would be stored.
        if (!isUtf8(body)) return parsed(new UnreadableBody())
        parse(request, body.toString('utf8'), parsed)
      })
    }
    done()
  },
  { name: 'bodies', dependencies: ['route'] },
)

/** Fastify itself looks for no body there. */
const BODYLESS = new Set(['GET', 'HEAD', 'TRACE'])

/** Without them Fastify looks for no body. */
const BODY_HEADERS = ['content-type', 'content-length', 'transfer-encoding']

const takesBody = ({ route }: FastifyRequest) => route.schema?.body !== undefined

/** Told by the headers (RFC 9112, 6.3): then its type, which may be none at all, does not matter. */
const hasNoBody = (headers: IncomingHttpHeaders) =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0

type Parser = (
  request: FastifyRequest,
  text: string,
  parsed: (error: Error | null, body?: unknown) => void,
) => void
