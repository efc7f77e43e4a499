import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Which version of a row is answered with; null where the answer is no row. */
    version: string | null
  }
}

/**
 * Conditional requests (RFC 9110, section 13). A good answer that is a version of a row says so in `ETag`, and is
 * 304 without a body where `If-None-Match` names it. `If-Match` is decided by the statement that writes.
 */
export const conditions = plugin(
  (app, _options, done) => {
    app.decorateRequest('version', null)
    app.addHook('onSend', (request, reply, payload, next) => {
      if (request.version === null || reply.statusCode >= 300) return next(null, payload)
      reply.header('etag', `"${request.version}"`)
      if (!isKnown(request, request.version)) return next(null, payload)
      reply.code(304).removeHeader('content-type').removeHeader('content-length')
      // Fastify itself leaves out the body of HEAD, and tells its length, as 304 may (RFC 9110, 8.6).
      next(null, request.method === 'HEAD' ? payload : null)
    })
    done()
  },
  { name: 'conditions' },
)

/**
 * The versions that `If-Match` allows, by strong comparison: a weak tag matches none. Undefined where any will do.
 */
export function versionsToMatch({ headers }: FastifyRequest): string[] | undefined {
  const header = headers['if-match']
  if (header === undefined || header.trim() === '*') return undefined
  return tagsIn(header).flatMap(({ weak, version }) => (weak ? [] : [version]))
}

/** Whether the client has this version already, by weak comparison: proxies that compress make tags weak. */
function isKnown({ method, headers }: FastifyRequest, version: string): boolean {
  const header = headers['if-none-match']
  if (header === undefined || (method !== 'GET' && method !== 'HEAD')) return false
  return header.trim() === '*' || tagsIn(header).some((tag) => tag.version === version)
}

/** RFC 9110, 8.8.3. What is no entity tag matches nothing. */
const tagsIn = (header: string) =>
  [...header.matchAll(/(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/g)].map(([, weak, version = '']) => ({
    weak: weak !== undefined,
    version,
  }))
