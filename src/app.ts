import fastify from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Logger } from 'pino'
import type { HashingLimits } from './auth/passwords.ts'
import type { Config } from './config.ts'
import type { App, SignedInApp } from './contract.ts'
import type { Connection } from './db/connect.ts'
import { serverOptions } from './http.ts'
import * as plugins from './plugins/index.ts'
import { fixedPaths } from './plugins/methods.ts'
import { type Resource, scope } from './plugins/scopes.ts'
import { docs } from './resources/docs/routes.ts'
import { health } from './resources/health/routes.ts'
import { inbox } from './resources/inbox/routes.ts'
import { itemRoutes } from './resources/items/routes.ts'
import { loginPublic, loginSignedIn, loginSuperuser } from './resources/login/routes.ts'
import { mailRoutes } from './resources/mails/routes.ts'
import { resetPasswordPage, verifyEmailPage } from './resources/pages/routes.ts'
import { privateRoutes } from './resources/private/routes.ts'
import { sessionRoutes } from './resources/sessions/routes.ts'
import { usersPublic, usersSignedIn, usersSuperuser } from './resources/users/routes.ts'
import { utilsPublic, utilsSuperuser } from './resources/utils/routes.ts'

/** What a caller may bring instead of having it made. */
export interface Dependencies {
  readonly connection?: Connection
  readonly hashing?: Partial<HashingLimits>
  /** Milliseconds that an attempt at sending a mail may take. */
  readonly mailAttemptMs?: number
  readonly logger?: Logger
  /** More resources of the signed-in scope. */
  readonly resources?: readonly Resource<SignedInApp>[]
  /** Aborted where nobody waits for the start any more. */
  readonly stop?: AbortSignal
}

/**
 * The service, ready to listen or to be injected requests. This is its table of contents: what Fastify is given, in
 * order, and then every resource under one of the three scopes.
 *
 * @throws where the database refuses us or can't be migrated, or a route stands outside the scopes. One that is away
 *   does not hold up the start: see preparation.ts
 */
export async function buildApp(config: Config, dependencies: Dependencies = {}): Promise<App> {
  const { connection, hashing, mailAttemptMs, logger, resources = [], stop } = dependencies
  const app: App = fastify(serverOptions(config, logger)).withTypeProvider<TypeBoxTypeProvider>()

  await app.register(plugins.settings, { config })
  await app.register(plugins.route)
  await app.register(plugins.ending)
  await app.register(plugins.tracing, { config })
  await app.register(plugins.requestId)
  await app.register(plugins.stopping)
  // Before the first route, that of preflights: it answers errors of routes that come later.
  await app.register(plugins.reporting, { config })
  await app.register(plugins.errors)
  await app.register(plugins.security, { config })
  await app.register(plugins.throttle, { config })
  await app.register(plugins.expectations)
  await app.register(plugins.framing)
  await app.register(plugins.hosts, { config })
  await app.register(plugins.preflights)
  await app.register(plugins.methods)
  await app.register(plugins.bodies)
  await app.register(plugins.deadline)
  await app.register(plugins.validation)
  await app.register(plugins.serialization)
  await app.register(plugins.openapi, { config })
  await app.register(plugins.database, { config, connection })
  await app.register(plugins.overload)
  await app.register(plugins.rateLimit, { config })
  await app.register(plugins.turns, { config })
  await app.register(plugins.auth, { config, hashing })
  await app.register(plugins.events)
  await app.register(plugins.preparation, { config, stop })
  await app.register(plugins.conditions, { config })
  await app.register(plugins.ownership)
  await app.register(plugins.mail, { config, attemptMs: mailAttemptMs })
  await app.register(plugins.links)
  await app.register(plugins.housekeeping)
  await app.register(plugins.metrics, { config })
  await app.register(plugins.scopes)

  const api = { prefix: '/api/v1' }
  const local = config.ENVIRONMENT === 'local'

  await app.register(scope('public', [loginPublic, usersPublic, utilsPublic]), api)
  await app.register(
    scope('signed-in', [loginSignedIn, usersSignedIn, sessionRoutes, itemRoutes, ...resources]),
    api,
  )
  await app.register(scope('superuser', [loginSuperuser, usersSuperuser, mailRoutes, utilsSuperuser]), api)
  if (local) await app.register(scope('public', [privateRoutes]), api)

  await app.register(scope('public', [health]))
  if (config.DOCS_ENABLED) await app.register(scope('public', [docs]))
  if (config.mail === 'inbox') await app.register(scope('public', [inbox]))
  if (config.mail !== 'off' && config.FRONTEND_HOST === undefined)
    await app.register(scope('public', [resetPasswordPage, verifyEmailPage]))
  await app.register(scope('public', [fixedPaths]))

  await app.ready()
  return app
}
