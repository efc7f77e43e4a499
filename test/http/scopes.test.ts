import fastify from 'fastify'
import plugin from 'fastify-plugin'
import { test } from 'tap'
import type { App, SignedInApp } from '../../src/contract/contract.ts'
import { InvalidCredentials } from '../../src/contract/errors.ts'
import { readConfig } from '../../src/config/config.ts'
import { auth } from '../../src/accounts/plugin.ts'
import { settings } from '../../src/http/settings.ts'
import { conditions } from '../../src/ownership/conditions.ts'
import { ownership } from '../../src/ownership/plugin.ts'
import { type Access, type Resource, scope, scopes } from '../../src/http/scopes.ts'
import { asksForToken } from '../support/answers.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { freshDatabase } from '../support/database.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { papers } from '../support/papers.ts'

/** The scopes only, with an authentication that takes the Authorization header for a role. */
async function tiny(): Promise<App> {
  const app = fastify() as unknown as App
  const auth = plugin(
    (app, _options, done) => {
      app.decorateRequest('currentUser', null)
      app.decorate('auth', {
        authenticate({ headers }: { headers: { authorization?: string } }) {
          const { authorization: role } = headers
          if (role !== 'user' && role !== 'superuser') throw new InvalidCredentials()
          return Promise.resolve({ is_superuser: role === 'superuser' })
        },
        requireFactor: () => undefined,
      } as never)
      done()
    },
    { name: 'auth' },
  )
  await app.register(auth)
  app.setErrorHandler((error, _request, reply) => reply.code((error as InvalidCredentials).status).send())
  await app.register(scopes)
  return app
}
type InvalidCredentials = InstanceType<typeof InvalidCredentials>

void test('a route outside the scopes fails the start, as nothing would guard it', async (t) => {
  for (const method of ['GET', 'DELETE'] as const) {
    const app = await tiny()
    t.teardown(() => app.close())
    app.route({ method, url: '/secrets', handler: () => 'secret' })
    await t.rejects(async () => app.ready(), {
      name: 'RouteOutsideScopes',
      message: new RegExp(`^${method} /secrets stands in no scope`),
    })
  }
  const nested = await tiny()
  t.teardown(() => nested.close())
  await nested.register(async (inner) => void inner.get('/secrets', () => 'secret'), { prefix: '/deep' })
  await t.rejects(async () => nested.ready(), { message: /^GET \/deep\/secrets stands in no scope/ })
})

void test('public routes admit everybody, signed-in routes users, superuser routes superusers', async (t) => {
  const app = await tiny()
  t.teardown(() => app.close())
  const resource =
    (name: string): Resource =>
    (routes) =>
      void routes.get(`/${name}`, (request) => ({ is_superuser: request.currentUser?.is_superuser ?? null }))
  for (const access of ['public', 'signed-in', 'superuser'] satisfies Access[])
    await app.register(scope(access, [resource(access)]))
  await app.ready()

  const expected: Record<Access, Record<string, number>> = {
    public: { nobody: 200, user: 200, superuser: 200 },
    'signed-in': { nobody: 401, user: 200, superuser: 200 },
    superuser: { nobody: 401, user: 403, superuser: 200 },
  }
  for (const [access, answers] of Object.entries(expected))
    for (const [authorization, status] of Object.entries(answers)) {
      const answer = await ask(app, { url: `/${access}`, headers: { authorization } })
      t.equal(answer.status, status, `${authorization} in ${access}`)
      if (status !== 200) continue
      const is_superuser = access === 'public' ? null : authorization === 'superuser'
      t.strictSame(answer.body, { is_superuser }, 'handlers know who asks, where somebody was asked')
    }
})

void test('a route needs a token exactly if openapi.json says so', async (t) => {
  const app = await startWithoutData(t)
  const open: string[] = []
  for (const { method, path, url, operation } of operationsOf(documentOf(app))) {
    const { security, responses } = operation
    const name = `${method} ${path.replace('/api/v1', '')}`
    const answer = await ask(app, { method, url })
    if (security.length === 0) {
      open.push(name)
      t.not(answer.status, 401, `${name} is public`)
      if (!name.includes('refresh-token')) t.notHas(responses, '401')
    } else {
      t.strictSame(security[0], { OAuth2PasswordBearer: [] })
      asksForToken(t, answer, `${name} is not`)
      t.hasProp(responses, '401')
    }
  }
  t.same(open.toSorted(), PUBLIC.toSorted(), 'public on purpose')
})

const PUBLIC = [
  'POST /login/access-token',
  'POST /login/refresh-token',
  'POST /login/second-factor',
  'GET /login/providers',
  'GET /login/oidc/{provider}',
  'GET /login/oidc/{provider}/callback',
  'POST /login/oidc/token',
  'POST /login/passkey',
  'POST /login/passkey/options',
  'POST /undo-email-change/',
  'POST /verify-email/',
  'POST /verify-email/resend',
  'POST /password-recovery/{email}',
  'POST /reset-password/',
  'POST /users/signup',
  'GET /utils/health-check/',
  'POST /private/users/',
]

/** Checked by `npm run check:types`, which fails where an expected error is missing. */
export const compiled = [
  // @ts-expect-error -- signed-in routes do not fit into a public scope
  () => scope('public', [(app: SignedInApp) => void app.get('/', {}, () => null)]),
  (app: App) => {
    // @ts-expect-error -- a public request has no user
    app.get('/user', (request) => request.user.id)
    // @ts-expect-error -- a public request owns no rows
    app.get('/rows', (request) => request.owned(papers).page({ limit: 1 }))
  },
  () => scope('signed-in', [(app: SignedInApp) => void app.get('/', {}, (request) => request.user.id)]),
]

void test('request.user in a public route fails with advice where to list the resource', async (t) => {
  const { db, close } = await freshDatabase()
  const app = fastify()
  t.teardown(async () => {
    await app.close()
    await close()
  })
  const config = readConfig({ ENVIRONMENT: 'local', SECRET_KEY: 'only for tests, and long enough for that' })
  await app.register(
    plugin((app, _options, done) => (app.decorate('db', db as never), done()), { name: 'database' }),
  )
  await app.register(settings, { config })
  await app.register(auth, { config })
  await app.register(conditions, { config })
  await app.register(ownership, { tables: [papers] })
  const messages: string[] = []
  app.setErrorHandler((error, _request, reply) => {
    messages.push((error as Error).message)
    return reply.code(500).send()
  })
  const routes = app as unknown as SignedInApp
  routes.get('/user', {}, (request) => request.user.id)
  routes.get('/rows', {}, (request) => request.owned(papers).page({ limit: 1 }))
  for (const url of ['/user', '/rows']) t.equal((await app.inject(url)).statusCode, 500)
  const advice = 'is public, so request.user and request.owned() have nobody: list its resource under'
  t.match(messages, [`GET /user ${advice}`, `GET /rows ${advice}`])
})
