import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { databaseEnv, launch, signIn, start, temporaryFolder } from '../support/process.ts'
import { startProxy } from '../support/proxy.ts'
import { startSentry } from '../support/sentry.ts'
import { until } from '../support/until.ts'

const ANSWER_MS = 2_000
const BACK_MS = 5_000
/** Time for a process to start on a busy machine. */
const START_MS = 60_000

void test(
  'fault 27: the service outlives a PostgreSQL that is down at the start and goes away later',
  needsPostgres,
  async (t) => {
    const server = process.env.TEST_DATABASE_URL!
    const direct = await createDatabase(server)
    t.teardown(() => dropDatabase(server, direct))
    const proxy = await startProxy(t, direct)
    const url = new URL(proxy.url)
    url.password = 'hidden'
    const running = await launch(t, { folder: temporaryFolder(t), env: { DATABASE_URL: url.href } })
    const status = (path: string, init?: RequestInit) =>
      fetch(running.url + path, init).then(
        async (answer) => {
          await answer.text()
          return answer.status
        },
        () => 0,
      )
    const untilIt = async (path: string, expected: number, within: number, init?: RequestInit) => {
      const start = performance.now()
      while ((await status(path, init)) !== expected) {
        if (performance.now() - start > within)
          throw new Error(`${path} is not ${expected}: ${running.output()}`)
        await pause(20) // so that polling does not slow it down
      }
      return performance.now() - start
    }
    const soon = async (path: string, expected: number, init?: RequestInit) => {
      const start = performance.now()
      t.equal(await status(path, init), expected, path)
      t.ok(performance.now() - start < ANSWER_MS, 'soon')
    }

    await untilIt('/health/live', 200, START_MS)
    await soon('/health/ready', 503)
    await soon('/api/v1/users/me', 503)
    t.match(running.output(), /The database can't be used \(ECONNREFUSED\).*DATABASE_URL/)
    t.notMatch(running.output(), 'hidden')
    t.notMatch(running.output(), 'is ready.')

    await proxy.open()
    t.ok((await untilIt('/health/ready', 200, BACK_MS)) < BACK_MS, 'it prepares the database by itself')
    await running.printed('is ready.')
    const headers = await signIn(running)
    const list = { headers }
    await soon('/api/v1/users/', 200, list)

    for (const [how, breaks, mends] of [
      ['cut', () => proxy.cut(), () => proxy.open()],
      ['silent', async () => proxy.silence(), async () => proxy.speak()],
    ] as const) {
      await breaks()
      for (let round = 0; round < 3; round++) {
        await soon('/health/live', 200)
        await soon('/health/ready', 503)
        await soon('/api/v1/users/', 503, list)
      }
      await mends()
      t.ok((await untilIt('/api/v1/users/', 200, BACK_MS, list)) < BACK_MS, `back after it was ${how}`)
      t.ok((await untilIt('/health/ready', 200, BACK_MS)) < BACK_MS)
    }
    running.child.kill('SIGTERM')
    t.equal(await running.exited, 0, 'the same process all the time')
  },
)

void test(
  'a database that does not exist stops the start with a message without the password',
  needsPostgres,
  async (t) => {
    const url = new URL(process.env.TEST_DATABASE_URL!)
    url.password = 'hidden'
    url.pathname = '/not_there'
    const running = await launch(t, { folder: temporaryFolder(t), env: { DATABASE_URL: url.href } })
    t.equal(await running.exited, 1)
    t.match(running.output(), /^The database can't be used \(3D000\)/m)
    t.notMatch(running.output(), 'hidden')
  },
)

void test('a stop does not wait for a database that is unreachable', needsPostgres, async (t) => {
  const running = await launch(t, {
    folder: temporaryFolder(t),
    env: { DATABASE_URL: 'postgres://groundwork:hidden@127.0.0.1:1/groundwork' },
  })
  await running.printed("can't be used")
  await until(async () => (await fetch(`${running.url}/health/live`).catch(() => undefined))?.ok ?? false)
  running.child.kill('SIGTERM')
  t.equal(await running.exited, 0)
})

void test('an uncaught exception is logged and reported, and ends the process', needsPostgres, async (t) => {
  const sentry = await startSentry(t)
  for (const fault of ["throw new Error('ours')", "void Promise.reject(new Error('ours'))"]) {
    const running = await start(t, {
      folder: temporaryFolder(t),
      env: {
        ...(await databaseEnv(t)),
        ENVIRONMENT: 'staging',
        HOST: '127.0.0.1',
        SECRET_KEY: 'only for tests, and long enough for that',
        FIRST_SUPERUSER_PASSWORD: 'not for anything real',
        SENTRY_DSN: sentry.dsn,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', () => { ${fault} })`)}`,
      },
    })
    const before = sentry.envelopes.length
    running.child.kill('SIGUSR2')
    t.equal(await running.exited, 1)
    t.match(running.output(), /"level":60.*uncaught exception: exiting/)
    t.match(running.output(), '"message":"ours"')
    t.match(sentry.envelopes.slice(before).join(), '"value":"ours"')
  }
})
