import cors, { type FastifyCorsOptions } from '@fastify/cors'
import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'

/**
 * Headers of every answer, as helmet 8 sets them (OWASP Secure Headers Project) for an API whose answers are data: a
 * browser that is shown one loads nothing and runs nothing. Pages bring a policy of their own (pages/web-page.ts).
 */
const HEADERS = {
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'cross-origin', // CORS decides
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
  // Most answers are about somebody. Clients may still use ETags for what they keep themselves; public files override it.
  'cache-control': 'no-store',
}

/** Not in local, where plain HTTP on localhost must go on working. */
const HTTPS_ONLY = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }

/** Security headers, and CORS for the configured origins alone. */
export const security = plugin(
  async (app, { config }: { config: Config }) => {
    await app.register(cors, corsOptions(config))
    const headers = config.ENVIRONMENT === 'local' ? HEADERS : { ...HEADERS, ...HTTPS_ONLY }
    app.addHook('onRequest', (_request, reply, next) => {
      reply.headers(headers)
      next()
    })
  },
  { name: 'security' },
)

const corsOptions = ({ corsOrigins }: Config): FastifyCorsOptions => ({
  origin: corsOrigins.length > 0 && [...corsOrigins],
  credentials: true,
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  exposedHeaders: ['X-Request-Id', 'Retry-After', 'ETag'],
  maxAge: 600,
  // The plugin takes any OPTIONS request for a preflight and would answer it before the throttle: preflights.ts does.
  preflightContinue: true,
  strictPreflight: false,
})
