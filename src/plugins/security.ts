import type { IncomingMessage, ServerResponse } from 'node:http'
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import helmet from 'helmet'
import type { Config } from '../config.ts'

/** Headers that keep browsers safe: CORS for the configured origins alone, and helmet's set. */
export const security = plugin(
  async (app, { config }: { config: Config }) => {
    const allowed = corsOptions(config)
    await app.register(cors, () => (request: FastifyRequest, decide: Decide) => {
      const answered = request.method !== 'OPTIONS' || isPreflight(request)
      decide(null, answered ? allowed : { origin: false })
    })
    const headers = securityHeaders(config)
    app.addHook('onRequest', (_request, reply, next) => {
      reply.headers(headers)
      next()
    })
  },
  { name: 'security' },
)

type Decide = (error: Error | null, options: FastifyCorsOptions) => void

const corsOptions = ({ corsOrigins }: Config): FastifyCorsOptions => ({
  origin: corsOrigins.length > 0 && [...corsOrigins],
  credentials: true,
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  exposedHeaders: ['X-Request-Id', 'Retry-After', 'ETag'],
  maxAge: 600,
})

/** Other OPTIONS requests are answered by the route, with 405 and Allow. */
const isPreflight = ({ headers }: FastifyRequest) =>
  headers.origin !== undefined && headers['access-control-request-method'] !== undefined

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
  const headers: Record<string, string> = {}
  const answer = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  }
  setHeaders({} as IncomingMessage, answer as unknown as ServerResponse, () => undefined)
  return headers
}
