import type { FastifyRequest, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import findMyWay, { type HTTPMethod } from 'find-my-way'
import type { App } from '../contract/contract.ts'
import { type ApiError, BadRequest, MethodNotAllowed, NotFound } from '../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods that each path has. */
    readonly methodsByPath: ReadonlyMap<string, ReadonlySet<HTTPMethod>>
    /** Fixed segments of all routes: the only ones logged of a path without a route. */
    readonly pathWords: ReadonlySet<string>
  }
  interface FastifyContextConfig {
    /** The route only refuses methods that its path lacks. */
    refuses?: true
  }
}

/** Options of Fastify's router, and of the lookup router below. */
export const routerOptions = { ignoreTrailingSlash: true, maxParamLength: 8 * 1024 } as const

/** Stands for a path that can't be decoded (server-options.ts); no route has it. */
export const UNREADABLE_PATH = '/%00'

/** Stands for a path that is longer than any route's: to decode one of 31,000 characters takes the router milliseconds. */
export const TOO_LONG_PATH = '/too-long'
export const LONGEST_PATH = 2 * routerOptions.maxParamLength

/** The route that @fastify/cors adds for OPTIONS. */
const EVERY_PATH = '*'

/** That of a frontend (pages/frontend.ts): whatever it answers, other methods of the path are 404 and not 405. */
const ANY_OTHER_PATH = '/*'

/** Whether it will be answered with 400, 404 or 405. */
const isRefused = ({ is404, url: path, routeOptions: { url, config } }: FastifyRequest) =>
  is404 ||
  url === EVERY_PATH ||
  config.refuses === true ||
  (url === ANY_OTHER_PATH && (path === UNREADABLE_PATH || path === TOO_LONG_PATH))

/** No-op handler: this router is only used for lookups. */
const nothing = () => undefined

/**
 * Refuses requests without a route before anything else of them is read: 405 with Allow if the path has other methods,
 * 400 if it can't be decoded, else 404. A second router that holds paths only answers which; a refusing route for each
 * missing method would be two thousand routes.
 */
export const methods = plugin(
  (app, _options, done) => {
    const byPath = new Map<string, Set<HTTPMethod>>()
    const words = new Set<string>()
    const paths = findMyWay(routerOptions)
    app.addHook('onRoute', ({ method, url, config }: RouteOptions) => {
      if (config?.refuses || url === ANY_OTHER_PATH) return
      const known = byPath.get(url) ?? new Set<HTTPMethod>()
      if (known.size === 0) paths.on('GET', url, nothing, known)
      for (const one of [method].flat()) known.add(one as HTTPMethod)
      byPath.set(url, known)
      for (const word of url.split('/')) if (!/[:*]/.test(word)) words.add(word)
    })
    app.decorate('methodsByPath', byPath)
    app.decorate('pathWords', words)

    const refusal = ({ method, url }: FastifyRequest): ApiError => {
      if (url === UNREADABLE_PATH) return new BadRequest()
      const found = url.startsWith('/') ? paths.find('GET', url) : null
      const known = found?.store as Set<string> | undefined
      return known === undefined || known.has(method) ? new NotFound() : new MethodNotAllowed(known)
    }
    app.addHook('onRequest', (request, reply, next) => {
      // The route of @fastify/cors is older than our error handler, so its errors would not reach that.
      if (request.routeOptions.url === EVERY_PATH) reply.callNotFound()
      else next(isRefused(request) ? refusal(request) : undefined)
    })
    app.setNotFoundHandler((request) => {
      throw refusal(request)
    })
    done()
  },
  { name: 'methods', dependencies: ['errors'] },
)

/**
 * Fixed paths (`/users/signup`) win over patterns (`/users/:user_id`) for every method: adds a refusing route where a
 * pattern would match a method that the fixed path lacks. Registered last, as it looks at the routes that are there.
 */
export function fixedPaths(app: App): void {
  const served = new Set<HTTPMethod>()
  for (const known of app.methodsByPath.values()) for (const method of known) served.add(method)

  const schema = { hide: true }
  const config = { refuses: true, limit: false } as const
  for (const [url, known] of app.methodsByPath) {
    const isTaken = (method: HTTPMethod) => !known.has(method) && isFound(app, method, url)
    const method = [...served].filter(isTaken)
    if (method.length > 0) app.route({ method, url, schema, config, handler: nothing })
  }
}

/** The router's type leaves out that it may find nothing. */
const isFound = (app: App, method: HTTPMethod, url: string) =>
  (app.findRoute({ method, url }) as object | null) !== null
