import fastify from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Logger } from 'pino'
import type { HashingLimits } from './auth/passwords.ts'
import type { Config } from './config.ts'
import type { App } from './contract.ts'
import type { Connection } from './db/connect.ts'
import { serverOptions } from './http.ts'
import { auth } from './plugins/auth.ts'
import { bodies } from './plugins/bodies.ts'
import { database } from './plugins/database.ts'
import { errors } from './plugins/errors.ts'
import { events } from './plugins/events.ts'
import { housekeeping } from './plugins/housekeeping.ts'
import { mail } from './plugins/mail.ts'
import { metrics } from './plugins/metrics.ts'
import { methods, otherMethods } from './plugins/methods.ts'
import { openapi } from './plugins/openapi.ts'
import { ownership } from './plugins/ownership.ts'
import { preparation } from './plugins/preparation.ts'
import { rateLimit } from './plugins/rate-limit.ts'
import { reporting } from './plugins/reporting.ts'
import { requestId } from './plugins/request-id.ts'
import { scope, scopes } from './plugins/scopes.ts'
import { security } from './plugins/security.ts'
import { settings } from './plugins/settings.ts'
import { stopping } from './plugins/stopping.ts'
import { throttle } from './plugins/throttle.ts'
import { tracing } from './plugins/tracing.ts'
import { validation } from './plugins/validation.ts'
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
  readonly logger?: Logger
}

/**
 * The service, ready to listen or to be injected requests. This is its table of contents: what Fastify is given, in
 * order, and then every resource under one of the three scopes.
 *
 * @throws where the database refuses us or can't be migrated, or a route stands outside the scopes. One that is away
 *   does not hold up the start: see preparation.ts
 */
export async function buildApp(config: Config, dependencies: Dependencies = {}): Promise<App> {
  const { connection, hashing, logger } = dependencies
  const app: App = fastify(serverOptions(config, logger)).withTypeProvider<TypeBoxTypeProvider>()

  await app.register(settings, { config })
  await app.register(tracing, { config })
  await app.register(requestId)
  await app.register(stopping)
  await app.register(security, { config })
  await app.register(throttle, { config })
  await app.register(reporting, { config })
  await app.register(errors)
  await app.register(bodies)
  await app.register(validation)
  await app.register(openapi, { config })
  await app.register(database, { config, connection })
  await app.register(rateLimit, { config })
  await app.register(auth, { config, hashing })
  await app.register(events)
  await app.register(preparation, { config })
  await app.register(ownership)
  await app.register(mail, { config })
  await app.register(housekeeping)
  await app.register(metrics, { config })
  await app.register(scopes)
  await app.register(methods)

  const api = { prefix: '/api/v1' }
  const local = config.ENVIRONMENT === 'local'

  await app.register(scope('public', [loginPublic, usersPublic, utilsPublic]), api)
  await app.register(scope('signed-in', [loginSignedIn, usersSignedIn, sessionRoutes, itemRoutes]), api)
  await app.register(scope('superuser', [loginSuperuser, usersSuperuser, mailRoutes, utilsSuperuser]), api)
  if (local) await app.register(scope('public', [privateRoutes]), api)

  await app.register(scope('public', [health]))
  if (config.DOCS_ENABLED) await app.register(scope('public', [docs(config.PROJECT_NAME)]))
  if (config.mail === 'inbox') await app.register(scope('public', [inbox]))
  if (config.mail !== 'off' && config.FRONTEND_HOST === undefined)
    await app.register(scope('public', [resetPasswordPage, verifyEmailPage]))
  await app.register(scope('public', [otherMethods]))

  await app.ready()
  return app
}
