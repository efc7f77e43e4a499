import type { FastifyRequest, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import findMyWay, { type HTTPMethod } from 'find-my-way'
import type { App } from '../contract/contract.ts'
import { type ApiError, BadRequest, MethodNotAllowed, NotFound } from '../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods that each path has. */
    readonly methodsByPath: ReadonlyMap<string, ReadonlySet<HTTPMethod>>
    /** The fixed parts of all paths: what may be logged of a path that has no route. */
    readonly pathWords: ReadonlySet<string>
  }
  interface FastifyContextConfig {
    /** The route answers for methods that its path does not have. */
    refuses?: true
  }
}

/** How paths are read, here as by Fastify itself. */
export const routerOptions = { ignoreTrailingSlash: true, maxParamLength: 8 * 1024 } as const

/** The path that one is answered as that can't be read (http.ts): no route has it. */
export const UNREADABLE_PATH = '/%00'

/** Where @fastify/cors has OPTIONS answered. */
const EVERY_PATH = '*'

/** Whether it is about to be answered with 404 or 405. */
const isRefused = ({ is404, routeOptions: { url, config } }: FastifyRequest) =>
  is404 || url === EVERY_PATH || config.refuses === true

/** No-op handler: this router is only used for lookups. */
const nothing = () => undefined

/**
 * Answers what no route is for, before anything else of it is looked at: 405 with Allow where the path has other
 * methods, 400 where it can't be read, else 404. A router of paths alone knows that; as routes of their own, methods that paths lack would be two
 * thousand.
 */
export const methods = plugin(
  (app, _options, done) => {
    const byPath = new Map<string, Set<HTTPMethod>>()
    const words = new Set<string>()
    const paths = findMyWay(routerOptions)
    app.addHook('onRoute', ({ method, url, config }: RouteOptions) => {
      if (config?.refuses) return
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
      // Errors of that route would not be ours to answer: it is older than our handler.
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
 * A fixed path (`/users/signup`) goes before a pattern (`/users/:user_id`) whatever the method: where the pattern would
 * get what the fixed path lacks, a route refuses it. The last resource of the last scope: it sees the routes that are
 * there when its turn comes.
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

/** Its type does not say that nothing may be found. */
const isFound = (app: App, method: HTTPMethod, url: string) =>
  (app.findRoute({ method, url }) as object | null) !== null
