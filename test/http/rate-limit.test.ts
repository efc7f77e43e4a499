import fastify from 'fastify'
import plugin from 'fastify-plugin'
import { test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { ending } from '../../src/http/observe/ending.ts'
import { rateLimit } from '../../src/http/limits/rate-limit.ts'
import { scope } from '../../src/http/scopes.ts'
import { local } from '../support/environments.ts'
import { noDatabase } from '../support/no-database.ts'

const named = (name: string) =>
  plugin(
    (app, _options, done) => {
      if (name === 'database') app.decorate('db', noDatabase().db)
      done()
    },
    { name },
  )

void test('a public route that writes must declare a rate limit, or the start fails', async (t) => {
  const start = async (config: object) => {
    const app = fastify()
    t.teardown(() => app.close())
    for (const name of ['database', 'throttle']) await app.register(named(name))
    await app.register(ending)
    await app.register(rateLimit, { config: readConfig(local) })
    await app.register(scope('public', [(app) => void app.post('/notes/', { config }, () => 'made')]))
    return app.ready()
  }
  await t.rejects(start({}), /POST \/notes\/ has no limit/)
  await t.resolves(start({ limit: 'signup_network' }))
  await t.resolves(start({ limit: false }), 'saying so is enough')
})
