import { get } from 'node:http'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { POOL_SIZE, freshDatabase } from '../support/database.ts'
import { freePort } from '../support/postgres.ts'
import { reply } from '../support/mail-server.ts'
import { startMailing } from '../support/mailing.ts'
import { address } from '../support/service.ts'
import { noDatabase, startWithoutData } from '../support/no-database.ts'
import { exchange, listen } from '../support/sockets.ts'

/** What Prometheus would read, by name and labels. */
async function scrape(port: number): Promise<Map<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`)
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}

void test('metrics', async (t) => {
  const port = await freePort()
  const { service, server, queue, until } = await startMailing(
    t,
    { connection: await freshDatabase() },
    { METRICS_PORT: String(port) },
  )
  const { admin, call, rows, app } = service

  await t.test('requests are counted by route pattern and status, never by path', async (t) => {
    await call('GET', '/users/me', { as: admin })
    await call('GET', `/users/${admin.id}`, { as: admin })
    await call('GET', `/users/${admin.id}`)
    await call('GET', '/nowhere/ada@example.com')
    await app.inject({ method: 'OPTIONS', url: '/nowhere' })
    await app.inject('/%ff')
    const expecting = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\nConnection: close\r\n\r\n'
    await exchange(t, await listen(app), expecting)
    const metrics = await scrape(port)
    const count = (route: string, status: number, method = 'GET') =>
      metrics.get(
        `http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`,
      )
    t.equal(count('/api/v1/users/:user_id', 200), 1)
    t.equal(count('/api/v1/users/:user_id', 401), 1)
    t.equal(count('none', 404), 1)
    t.equal(count('none', 400), 1, 'a path that cannot be read')
    t.equal(count('/health/live', 417), 1, 'an expectation that nobody meets')
    t.equal(
      count('none', 404, 'OPTIONS'),
      1,
      'by what it was answered by, not by the route of all preflights',
    )
    t.notOk([...metrics.keys()].some((name) => name.includes(admin.id) || name.includes('@')))
    t.ok([...metrics.keys()].some((name) => name.startsWith('nodejs_eventloop_lag')))
  })

  await t.test('metrics show waiting and parked mails, the database and password hashing', async (t) => {
    server.answer = (step) => (step === 'to' ? reply(550, 'no such user') : undefined)
    await until(/mail parked/, queue)
    server.answer = (step) => (step === 'to' ? reply(451, 'later') : undefined)
    const email = await until(/mail not sent/, () => queue(address()))
    await rows(sql`update emails set created_at = now() - interval '1 hour' where recipient = ${email}`)
    const metrics = await scrape(port)
    t.equal(metrics.get('outbox_waiting'), 1)
    t.equal(metrics.get('outbox_parked'), 1)
    t.ok((metrics.get('outbox_oldest_seconds') ?? 0) >= 3600)
    t.match({ up: metrics.get('database_up'), prepared: metrics.get('prepared') }, { up: 1, prepared: 1 })
    t.match(
      { running: metrics.get('hashing_running'), waiting: metrics.get('hashing_waiting') },
      { running: 0, waiting: 0 },
    )
    if (app.connection.load)
      t.match(
        { size: metrics.get('database_pool_size'), waiting: metrics.get('database_statements_waiting') },
        { size: POOL_SIZE, waiting: 0 },
      )
  })

  await t.test('security events are counted by event and outcome', async (t) => {
    const counts = async () => {
      const metrics = await scrape(port)
      const count = (event: string, outcome: string) =>
        metrics.get(`security_events_total{event="${event}",outcome="${outcome}"}`) ?? 0
      return {
        signedIn: count('sign_in', 'success'),
        failed: count('sign_in', 'failure'),
        refused: count('token_refused', 'failure'),
      }
    }
    const ada = await service.person()
    const before = await counts()
    await service.signIn(ada.email, ada.password)
    await service.signIn(ada.email, 'a wrong password')
    await call('GET', '/users/me', { headers: { authorization: 'Bearer forged' } })
    t.strictSame(await counts(), {
      signedIn: before.signedIn + 1,
      failed: before.failed + 1,
      refused: before.refused + 1,
    })
  })

  await t.test('security events beyond the limit of log lines are counted, too', async (t) => {
    const refused = async () =>
      (await scrape(port)).get('security_events_total{event="token_refused",outcome="failure"}') ?? 0
    const before = await refused()
    for (let request = 0; request < 30; request++)
      await call('GET', '/users/me', { headers: { authorization: 'Bearer forged' } })
    t.equal(await refused(), before + 30)
  })

  await t.test('the metrics port serves only /metrics, and the API port does not serve it', async (t) => {
    t.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 404)
    t.equal((await app.inject('/metrics')).statusCode, 404)
  })
})

void test('without a database, metrics are served with database_up 0', async (t) => {
  let fault: Error | undefined
  const port = await freePort()
  await startWithoutData(
    t,
    { METRICS_PORT: String(port) },
    noDatabase(() => fault),
  )
  fault = Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
  const metrics = await scrape(port)
  t.equal(metrics.get('database_up'), 0)
  t.ok(Number.isNaN(metrics.get('outbox_waiting')), 'unknown is not none')
})

void test('a METRICS_PORT that is in use fails the start with EADDRINUSE and the port', async (t) => {
  const port = await freePort()
  await startWithoutData(t, { METRICS_PORT: String(port) })
  await t.rejects(startWithoutData(t, { METRICS_PORT: String(port) }), { code: 'EADDRINUSE', port })
})

void test('metrics are served on 127.0.0.1 only, unless METRICS_HOST is set', async (t) => {
  const port = await freePort()
  await startWithoutData(t, { METRICS_PORT: String(port), HOST: '0.0.0.0' })
  const ask = (host: string, headers = {}) =>
    new Promise<number>((resolve, reject) => {
      get({ host, port, path: '/metrics', headers, agent: false }, (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      }).on('error', reject)
    })
  t.equal(await ask('127.0.0.1'), 200)
  await t.rejects(ask('127.0.0.2'), { code: 'ECONNREFUSED' }, 'no other address')
  t.equal(await ask('127.0.0.1', { host: `evil.example:${port}` }), 403, 'in local, under no name of others')

  const everywhere = await freePort()
  await startWithoutData(t, { METRICS_PORT: String(everywhere), METRICS_HOST: '0.0.0.0' })
  t.equal((await fetch(`http://127.0.0.2:${everywhere}/metrics`)).status, 200)
})
