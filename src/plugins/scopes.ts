import type { FastifyPluginAsync, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import type { CurrentUser } from '../auth/sessions.ts'
import type { App } from '../contract.ts'
import { type ApiErrorKind, InvalidCredentials, NotAuthenticated, NotEnoughPrivileges } from '../errors.ts'

/** Who may call a route. */
export type Access = 'public' | 'signed-in' | 'superuser'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Stamped by the route's scope; what the document says of it comes from here. */
    access?: Access
  }
}

/** The routes of a resource that share a scope. */
export type Resource = (app: App) => void | Promise<void>

/** What a scope refuses with; the document gets it from here. */
export const refusals: Record<Access, readonly ApiErrorKind[]> = {
  public: [],
  'signed-in': [NotAuthenticated, InvalidCredentials],
  superuser: [NotAuthenticated, InvalidCredentials, NotEnoughPrivileges],
}

/**
 * One of the three scopes that every route stands in: its guard runs before anything else of the request is looked
 * at, and stamps the routes, so that guard and document can't disagree.
 */
export const scope =
  (access: Access, resources: readonly Resource[]): FastifyPluginAsync =>
  async (app) => {
    app.addHook('onRoute', (route) => {
      route.config = { ...route.config, access }
    })
    if (access !== 'public') {
      app.addHook('onRequest', async (request) => {
        const user = await app.auth.authenticate(request)
        if (access === 'superuser' && !user.is_superuser) throw new NotEnoughPrivileges()
        request.user = user
      })
      // After the answer; whether it works out concerns nobody.
      app.addHook('onResponse', ({ user }, _reply, done) => {
        if ((user as CurrentUser | undefined)?.session_idle)
          app.auth.sessions.touch(user.session_id).catch(() => undefined)
        done()
      })
    }
    for (const resource of resources) await app.register(async (routes) => resource(routes as App))
  }

/** Stops the start where a route stands in no scope, as nothing would guard it. */
export const scopes = plugin(
  (app, _options, done) => {
    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => void routes.push(route))
    app.addHook('onReady', (ready) => {
      const stray = routes.find((route) => route.config?.access === undefined && route.url !== '*')
      ready(stray && new RouteOutsideScopes(stray))
    })
    done()
  },
  { name: 'scopes', dependencies: ['auth'] },
)

class RouteOutsideScopes extends Error {
  constructor({ method, url }: RouteOptions) {
    super(`${String(method)} ${url} stands in no scope: list its resource in one of the three in app.ts`)
    this.name = 'RouteOutsideScopes'
  }
}
