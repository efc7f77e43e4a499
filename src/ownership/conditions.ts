import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { type RowVersion, type VersionTags, versionTags } from './version-tags.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly conditions: Conditions
  }
  interface FastifyRequest {
    /** Which version of a row is answered with; null where the answer is no row. */
    version: RowVersion | null
  }
}

interface Conditions {
  /** Notes of which version a row is: an answer with this very object says so in its `ETag`. */
  note(row: object, version: RowVersion): void
  /** The versions of a row that `If-Match` allows; undefined where any will do. */
  toMatch(request: FastifyRequest, row: Omit<RowVersion, 'version'>): string[] | undefined
}

/**
 * Conditional requests (RFC 9110, section 13). A good answer that is a version of a row says so in `ETag`, and is
 * 304 without a body where `If-None-Match` names it. `If-Match` is decided by the statement that writes.
 *
 * A version belongs to the row that is answered, not to the request: what was made of several rows, or of other rows
 * than those that were looked at, has none.
 */
export const conditions = plugin(
  (app, { config }: { config: Pick<Config, 'SECRET_KEY'> }, done) => {
    const tags = versionTags(config.SECRET_KEY)
    const versions = new WeakMap<object, RowVersion>()
    app.decorate('conditions', {
      note: (row, version) => void versions.set(row, version),
      toMatch: (request, row) =>
        isTarget(request, row.id) ? versionsToMatch(request, row, tags) : undefined,
    } satisfies Conditions)
    app.decorateRequest('version', null)
    app.addHook('preSerialization', (request, _reply, payload, next) => {
      request.version = versions.get(payload as object) ?? null
      next(null, payload)
    })
    app.addHook('onSend', (request, reply, payload, next) => {
      if (request.version === null || reply.statusCode >= 300) return next(null, payload)
      const tag = tags.write(request.version)
      reply.header('etag', `"${tag}"`)
      if (!isKnown(request, tag)) return next(null, payload)
      reply.code(304).removeHeader('content-type').removeHeader('content-length')
      // Fastify itself leaves out the body of HEAD, and tells its length, as 304 may (RFC 9110, 8.6).
      next(null, request.method === 'HEAD' ? payload : null)
    })
    done()
  },
  { name: 'conditions' },
)

/**
 * `If-Match` is about the row that the path names last, whatever words follow it; another that is written along with it
 * has no conditions.
 */
function isTarget({ params }: FastifyRequest, id: string): boolean {
  const last = Object.values((params ?? {}) as Record<string, string>).findLast((param) => UUID.test(param))
  return last === undefined || last.toLowerCase() === id.toLowerCase()
}

const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i

/**
 * By strong comparison, our tags would match no more once a proxy has compressed an answer and made them weak. They are
 * taken all the same: none of ours is weak when it is made, and each names one version of one row.
 */
function versionsToMatch({ headers }: FastifyRequest, row: Omit<RowVersion, 'version'>, tags: VersionTags) {
  const header = headers['if-match']
  if (header === undefined || header.trim() === '*') return undefined
  return tags.read(tagsIn(header), row)
}

/** Whether the client has this version already. */
function isKnown({ method, headers }: FastifyRequest, tag: string): boolean {
  const header = headers['if-none-match']
  if (header === undefined || (method !== 'GET' && method !== 'HEAD')) return false
  return header.trim() === '*' || tagsIn(header).includes(tag)
}

/**
 * RFC 9110, 8.8.3, weak or not; what is no entity tag matches nothing. Proxies that compress may also write how into
 * the tag (Apache: `"…-gzip"`, Jetty: `"…--gzip"`).
 */
const tagsIn = (header: string) =>
  [...header.matchAll(/"([\x21\x23-\x7e\x80-\xff]*)"/g)].map(([, tag = '']) =>
    tag.replace(/[-;:]{1,2}(?:gzip|br|zstd|deflate)$/, ''),
  )
