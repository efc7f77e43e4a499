import { METHODS } from 'node:http'
import type { RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import type { App } from '../contract.ts'
import { MethodNotAllowed } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods that each path has. */
    readonly methodsByPath: ReadonlyMap<string, Set<string>>
  }
}

/** Keeps a list of what methods each path has. */
export const methods = plugin(
  (app, _options, done) => {
    const byPath = new Map<string, Set<string>>()
    app.addHook('onRoute', ({ method, url }: RouteOptions) => {
      const known = byPath.get(url) ?? new Set<string>()
      for (const one of [method].flat()) known.add(one)
      byPath.set(url, known)
    })
    app.decorate('methodsByPath', byPath)
    for (const method of METHODS) {
      if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
    }
    done()
  },
  { name: 'methods' },
)

/**
 * Answers 405 with Allow for every method that a path does not have. They are routes rather than a look-up in the 404
 * handler, so that a fixed path (`/users/signup`) goes before a pattern (`/users/:user_id`) whatever the method.
 * The last resource of the last scope: it sees the routes that are there when its turn comes.
 */
export function otherMethods(app: App): void {
  const schema = { hide: true }
  const config = { limit: false, throttled: false } as const
  for (const [url, known] of new Map(app.methodsByPath)) {
    if (url === '*') continue
    const allowed = [...known].toSorted()
    const refuse = () => {
      throw new MethodNotAllowed(allowed)
    }
    const missing = METHODS.filter((method) => method !== 'CONNECT' && !known.has(method))
    // In onRequest, before the body is looked at.
    app.route({ method: missing, url, schema, config, onRequest: refuse, handler: refuse })
  }
}
