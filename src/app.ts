import fastify from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Logger } from 'pino'
import { accountExport } from './accounts/export-account.ts'
import { recoverPasswordPage, resendVerificationPage } from './accounts/pages/ask-for-link.ts'
import { passkeysPage } from './accounts/pages/passkeys.ts'
import { resetPasswordPage } from './accounts/pages/reset-password.ts'
import { secondFactorPage } from './accounts/pages/second-factor.ts'
import { signInWithProviderPage } from './accounts/pages/sign-in-with-provider.ts'
import { undoEmailChangePage } from './accounts/pages/undo-email-change.ts'
import { verifyEmailPage } from './accounts/pages/verify-email.ts'
import type { HashingLimits } from './accounts/passwords/passwords.ts'
import { keyChores } from './accounts/keys/chores.ts'
import { turns } from './accounts/passwords/plugin.ts'
import { auth } from './accounts/plugin.ts'
import { accountsPrivate, accountsPublic, accountsSignedIn, accountsSuperuser } from './accounts/routes.ts'
import type { Config } from './config/config.ts'
import type { App, SignedInApp } from './contract/contract.ts'
import type { Connection } from './database/connect.ts'
import { database } from './database/plugin.ts'
import { housekeeping } from './database/upkeep/housekeeping.ts'
import { http } from './http/index.ts'
import { rateLimit } from './http/limits/rate-limit.ts'
import { fixedPaths } from './http/methods.ts'
import { events } from './http/observe/events.ts'
import { docs } from './http/pages/docs.ts'
import { frontend } from './http/pages/frontend.ts'
import { type Resource, scope, scopes } from './http/scopes.ts'
import { serverOptions } from './http/server-options.ts'
import { inbox } from './mail/inbox/routes.ts'
import { mailRoutes } from './mail/mails/routes.ts'
import { mail } from './mail/plugin.ts'
import { health } from './operations/health.ts'
import { metrics } from './operations/metrics.ts'
import { preparation } from './operations/preparation.ts'
import { utilsPublic, utilsSuperuser } from './operations/utils.ts'
import { conditions } from './ownership/conditions.ts'
import { ownership } from './ownership/plugin.ts'
import type { DeclaredResource } from './ownership/resource.ts'
import { itemRoutes } from './resources/items.ts'

/** Resources, each declared in a file of resources/. */
export const resources: readonly DeclaredResource[] = [itemRoutes]

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
 * The service, ready to listen or to be injected requests. This is its table of contents: what every request passes
 * (http/index.ts), what routes are given, and then every route under one of the three scopes.
 *
 * @throws where the database refuses us or can't be migrated, or a route stands outside the scopes. One that is away
 *   does not hold up the start: see preparation.ts
 */
export async function buildApp(config: Config, dependencies: Dependencies = {}): Promise<App> {
  const { connection, hashing, mailAttemptMs, logger, stop } = dependencies
  const tables = resources.map(({ table }) => table)
  const served = [...resources, ...(dependencies.resources ?? [])]
  const app: App = fastify(serverOptions(config, logger)).withTypeProvider<TypeBoxTypeProvider>()

  await app.register(http, { config, tags: resources.map(({ tag }) => tag) })
  await app.register(database, { config, connection })
  await app.register(rateLimit, { config })
  await app.register(turns, { config })
  await app.register(auth, { config, hashing })
  await app.register(events)
  await app.register(preparation, { config, stop })
  await app.register(conditions, { config })
  await app.register(ownership, { tables })
  await app.register(mail, { config, attemptMs: mailAttemptMs })
  await app.register(housekeeping, { config, tables, chores: keyChores(config) })
  await app.register(metrics, { config })
  await app.register(scopes)

  const api = { prefix: '/api/v1' }
  const local = config.ENVIRONMENT === 'local'

  await app.register(scope('public', [accountsPublic, utilsPublic]), api)
  await app.register(
    scope('signed-in', [accountsSignedIn, accountExport(served.filter(isDeclared)), ...served]),
    api,
  )
  await app.register(scope('superuser', [accountsSuperuser, mailRoutes, utilsSuperuser]), api)
  if (local) await app.register(scope('public', [accountsPrivate]), api)

  await app.register(scope('public', [health]))
  if (config.DOCS_ENABLED) await app.register(scope('public', [docs]))
  if (config.mail === 'inbox') await app.register(scope('public', [inbox]))
  if (config.mail !== 'off' && config.FRONTEND_HOST === undefined) {
    const pages = [
      resetPasswordPage,
      verifyEmailPage,
      undoEmailChangePage,
      secondFactorPage,
      passkeysPage,
      recoverPasswordPage,
      resendVerificationPage,
    ]
    await app.register(scope('public', pages))
  }
  if (config.oidc.length > 0 && config.FRONTEND_HOST === undefined)
    await app.register(scope('public', [signInWithProviderPage]))
  // Last, as they look at the routes that are there.
  await app.register(scope('public', [frontend]))
  await app.register(scope('public', [fixedPaths]))

  await app.ready()
  return app
}

/** Whether it has a declaration, and with it rows that are somebody's. */
const isDeclared = (given: Resource<SignedInApp>): given is DeclaredResource => 'table' in given
