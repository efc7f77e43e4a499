import type { IncomingMessage, ServerResponse } from 'node:http'
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import plugin from 'fastify-plugin'
import helmet from 'helmet'
import type { Config } from '../config/config.ts'

/** Headers that keep browsers safe: CORS for the configured origins alone, and helmet's set. */
export const security = plugin(
  async (app, { config }: { config: Config }) => {
    const allowed = corsOptions(config)
    await app.register(cors, allowed)
    const headers = securityHeaders(config)
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
  // Any OPTIONS request counts as a preflight to the plugin, and would be answered before the throttle: preflights.ts
  // answers them. (Options that depend on the request would say it too, and be worked out anew for each.)
  preflightContinue: true,
  strictPreflight: false,
})

/** What helmet sets is the same for every answer, so it is asked once. */
function securityHeaders(config: Config): Record<string, string> {
  const setHeaders = helmet({
    // Answers are data, never pages: a browser that is shown one loads nothing. Pages bring a policy of their own.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    // Not in local, where plain HTTP on localhost must go on working.
    strictTransportSecurity: config.ENVIRONMENT !== 'local',
    crossOriginResourcePolicy: { policy: 'cross-origin' }, // CORS decides
  })
  // Answers are about somebody, most of them: no cache keeps one. ETags go on working, as clients keep those by
  // themselves. Files that are for everybody say so.
  const headers: Record<string, string> = { 'cache-control': 'no-store' }
  const answer = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  }
  setHeaders({} as IncomingMessage, answer as unknown as ServerResponse, () => undefined)
  return headers
}
