import type { FastifyPluginAsync, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import type { App, SignedInApp } from '../contract/contract.ts'
import {
  ApiKeyNotAllowed,
  type ApiErrorKind,
  InvalidCredentials,
  NotAuthenticated,
  NotEnoughPrivileges,
} from '../contract/errors.ts'

/** Who may call a route. */
export type Access = 'public' | 'signed-in' | 'superuser'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by the route's scope; the document's `security` comes from it. */
    access?: Access
  }
}

/** A function that adds routes to a scope. One that needs `request.user` takes a SignedInApp, which public scopes don't accept. */
export type Resource<In = App> = (app: In) => void | Promise<void>

/** Errors of each scope's guard, documented on its routes. */
export const refusals: Record<Access, readonly ApiErrorKind[]> = {
  public: [],
  'signed-in': [NotAuthenticated, InvalidCredentials, ApiKeyNotAllowed],
  superuser: [NotAuthenticated, InvalidCredentials, NotEnoughPrivileges, ApiKeyNotAllowed],
}

/**
 * One of the three scopes that every route stands in. Its guard runs before body and parameters are read, and marks the
 * routes, so that guard and document can't disagree.
 */
export function scope(access: Access, resources: readonly Resource[]): FastifyPluginAsync
export function scope(
  access: Exclude<Access, 'public'>,
  resources: readonly (Resource | Resource<SignedInApp>)[],
): FastifyPluginAsync
export function scope(
  access: Access,
  resources: readonly (Resource | Resource<SignedInApp>)[],
): FastifyPluginAsync {
  return async (app) => {
    app.addHook('onRoute', (route) => {
      const { fresh, permission } = route.schema ?? {}
      if (fresh && access === 'public') throw new NobodyToBeFresh(route)
      if (permission !== undefined && (fresh || access === 'public')) throw new NotForKeys(route)
      if (permission !== undefined) app.permissions.add(permission)
      route.config = { ...route.config, access }
    })
    if (access !== 'public') {
      app.addHook('onRequest', async (request) => {
        const user = await app.auth.authenticate(request)
        request.currentUser = user // before the refusal, which is logged with who it was
        if (access === 'superuser' && !user.is_superuser) throw new NotEnoughPrivileges()
        const { permission, fresh, factorless } = request.routeOptions.schema ?? {}
        if (user.api_key) {
          if (permission === undefined || !user.api_key.permissions.has(permission))
            throw new ApiKeyNotAllowed()
          return
        }
        if (!factorless) app.auth.requireFactor(user)
        if (fresh) app.auth.requireFresh(user)
      })
      // After the answer. A failure is harmless: the next request notes the use.
      app.addHook('onResponse', ({ currentUser }, _reply, done) => {
        if (currentUser?.session_unnoted) app.auth.sessions.touch(currentUser).catch(() => undefined)
        done()
      })
    }
    for (const resource of resources)
      await app.register(async (routes) => resource(routes as App & SignedInApp))
  }
}

/** Fails the start if a route stands in no scope, as it would have no guard. */
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

class NotForKeys extends Error {
  constructor({ method, url }: RouteOptions) {
    super(`${String(method)} ${url} has a permission for API keys, but is public or needs a recent sign-in`)
    this.name = 'NotForKeys'
  }
}

class NobodyToBeFresh extends Error {
  constructor({ method, url }: RouteOptions) {
    super(`${String(method)} ${url} is public, so it has no session that could be fresh`)
    this.name = 'NobodyToBeFresh'
  }
}

class RouteOutsideScopes extends Error {
  constructor({ method, url }: RouteOptions) {
    super(`${String(method)} ${url} stands in no scope: list its resource in one of the three in app.ts`)
    this.name = 'RouteOutsideScopes'
  }
}
