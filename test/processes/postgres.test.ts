import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import { test } from 'tap'
import { needsPostgres } from '../support/database.ts'
import { databaseEnv, signIn, start, temporaryFolder } from '../support/process.ts'

const SECRET_KEY = 'only for tests, and long enough for that'

void test(
  'fault 34: three replicas that start at once on an empty database all come up',
  needsPostgres,
  async (t) => {
    const env: Record<string, string> = { ...(await databaseEnv(t)), SECRET_KEY, LOG_LEVEL: 'warn' }
    const replicas = await Promise.all([1, 2, 3].map(() => start(t, { folder: temporaryFolder(t), env })))
    const headers = await signIn(replicas[0]!)
    for (const { url } of replicas) {
      const answer = await fetch(`${url}/api/v1/users/`, { headers })
      t.match(await answer.json(), { count: 1, data: [{ is_superuser: true }] }, 'one first superuser')
    }

    const sql = postgres(env.DATABASE_URL!, { max: 1 })
    t.teardown(() => sql.end())
    const journal = JSON.parse(readFileSync('migrations/meta/_journal.json', 'utf8')) as { entries: object[] }
    const ran = await sql`select hash from drizzle.__drizzle_migrations`
    t.equal(ran.length, journal.entries.length, 'each migration ran once')
  },
)

void test('in production, the docs and the private endpoints are 404', needsPostgres, async (t) => {
  const production = {
    ...(await databaseEnv(t)),
    ENVIRONMENT: 'production',
    HOST: '127.0.0.1',
    SECRET_KEY,
    FIRST_SUPERUSER_PASSWORD: 'not for anything real',
  }
  const running = await start(t, { folder: temporaryFolder(t), env: production })
  for (const path of ['/', '/docs', '/docs/json', '/api/v1/openapi.json', '/api/v1/private/users/'])
    t.equal((await fetch(running.url + path, { redirect: 'manual' })).status, 404, path)
  const made = await fetch(`${running.url}/api/v1/private/users/`, { method: 'POST', body: '{}' })
  t.equal(made.status, 404, 'nobody makes users without signing in')
  const live = await fetch(`${running.url}/health/live`)
  t.match(live.headers.get('strict-transport-security'), /max-age/)
  running.child.kill('SIGTERM')
  t.equal(await running.exited, 0)
  for (const line of running.output().trim().split('\n'))
    t.type(JSON.parse(line), 'object', 'logs are JSON, and there is no banner')
})
