import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { type KeySettings, keyring } from '../config/secrets/keys.ts'
import { type RowVersion, type VersionTags, versionTags } from './version-tags.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly conditions: Conditions
  }
  interface FastifyRequest {
    /** Version of the row in the answer; null where the answer is no row. */
    version: RowVersion | null
  }
}

interface Conditions {
  /** Remembers the version of a row: an answer with this very object gets it as `ETag`. */
  note(row: object, version: RowVersion): void
  /** Versions of a row that `If-Match` allows; undefined for any. */
  toMatch(request: FastifyRequest, row: Omit<RowVersion, 'version'>): string[] | undefined
}

/**
 * Conditional requests (RFC 9110, section 13). A 2xx answer that is a row has its version as `ETag`, and is 304 without
 * a body where `If-None-Match` has that version. `If-Match` is checked by the statement that writes.
 *
 * The version is remembered by the row object, not by the request: an answer composed of several rows has none.
 */
export const conditions = plugin(
  (app, { config }: { config: KeySettings }, done) => {
    const tags = versionTags(keyring(config))
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
      const own = tags.write(request.version)
      const known = knownTag(request, own)
      // 304 has the tag that the client's copy has, or a cache can't tell which one it is about (RFC 9111, 4.3.4).
      reply.header('etag', `"${known ?? own[0]}"`)
      if (known === undefined) return next(null, payload)
      reply.code(304).removeHeader('content-type').removeHeader('content-length')
      // Fastify itself leaves out the body of HEAD and sends its length, which 304 may have (RFC 9110, 8.6).
      next(null, request.method === 'HEAD' ? payload : null)
    })
    done()
  },
  { name: 'conditions' },
)

/**
 * `If-Match` applies to the row whose id is the last in the path, whatever words follow it; other rows that the request
 * writes have no conditions.
 */
function isTarget({ params }: FastifyRequest, id: string): boolean {
  const last = Object.values((params ?? {}) as Record<string, string>).findLast((param) => UUID.test(param))
  return last === undefined || last.toLowerCase() === id.toLowerCase()
}

const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i

/**
 * Weak tags are accepted, although `If-Match` asks for strong comparison: a proxy that compresses an answer makes its tag
 * weak. All tags are strong when they are made, and each stands for one version of one row.
 */
function versionsToMatch({ headers }: FastifyRequest, row: Omit<RowVersion, 'version'>, tags: VersionTags) {
  const header = headers['if-match']
  if (header === undefined || header.trim() === '*') return undefined
  return tags.read(tagsIn(header), row)
}

/** The tag by which the client has this version already; undefined where it has not. */
function knownTag({ method, headers }: FastifyRequest, tags: readonly [string, ...string[]]) {
  const header = headers['if-none-match']
  if (header === undefined || (method !== 'GET' && method !== 'HEAD')) return undefined
  if (header.trim() === '*') return tags[0]
  const given = tagsIn(header)
  return tags.find((tag) => given.includes(tag))
}

/**
 * Entity tags (RFC 9110, 8.8.3), weak or strong. Proxies that compress may add the encoding to the tag
 * (Apache: `"…-gzip"`, Jetty: `"…--gzip"`).
 */
const tagsIn = (header: string) =>
  [...header.matchAll(/"([\x21\x23-\x7e\x80-\xff]*)"/g)].map(([, tag = '']) =>
    tag.replace(/[-;:]{1,2}(?:gzip|br|zstd|deflate)$/, ''),
  )
