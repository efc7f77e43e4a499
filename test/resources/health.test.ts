import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { buildInfo } from '../../src/config/build-info.ts'
import { isAnswer } from '../support/answers.ts'
import { databaseThatGoes } from '../support/database.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { startService } from '../support/service.ts'
import { listen } from '../support/sockets.ts'

/** A load balancer times out on a slower answer. */
const WITHIN_MS = 2_000

void test('/health/ready is 503 once the service is stopping, while /health/live stays 200', async (t) => {
  const app = await startWithoutData(t)
  const get = (url: string) => ask(app, { url })

  for (const path of ['live', 'live/', 'ready', 'ready/'])
    isAnswer(t, await get(`/health/${path}`), 200, { status: path.replace('/', ''), ...buildInfo }, path)
  isAnswer(t, await ask(app, { method: 'HEAD', url: '/health/ready' }), 200, undefined, 'HEAD does as well')

  const stopping = app.beginStopping()
  const ready = await get('/health/ready')
  isAnswer(t, ready, 503, 'Service Unavailable', 'no new requests once stopping began')
  t.equal(ready.headers['retry-after'], '1')
  t.equal(ready.headers.connection, 'close', 'connections come to their end')
  isAnswer(
    t,
    await get('/health/live'),
    200,
    { status: 'live', ...buildInfo },
    'a restart would cut requests off',
  )
  isAnswer(t, await get('/api/v1/utils/health-check/'), 200, true, 'what comes is still answered')
  await stopping
})

void test('fault 33: keep-alive connections are closed only after the server stopped listening', async (t) => {
  const app = await startWithoutData(t)
  const port = await listen(app)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const connectionAfter = () =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: '/health/live', agent }, (answer) => {
        answer.resume().on('end', () => resolve(answer.headers.connection))
      }).on('error', reject)
    })
  t.equal(await connectionAfter(), 'keep-alive')
  const stopping = app.beginStopping()
  t.equal(await connectionAfter(), 'keep-alive', 'or the next request would need a new one')
  while (app.server.listening) await pause(10)
  t.equal(await connectionAfter(), 'close', 'the one that is open is served all the same')
  await stopping
})

void test('without its database, /health/ready is 503 and /health/live is 200', async (t) => {
  const connection = await databaseThatGoes()
  let open = true
  const close = async () => {
    if (open) await connection.close()
    open = false
  }
  const service = await startService(t, {}, { connection: { ...connection, close } })
  isAnswer(t, await ask(service.app, { url: '/health/ready' }), 200, { status: 'ready', ...buildInfo })

  await close()
  const start = performance.now()
  isAnswer(t, await ask(service.app, { url: '/health/ready' }), 503, 'Service Unavailable')
  t.ok(performance.now() - start < WITHIN_MS, 'at once')
  isAnswer(t, await ask(service.app, { url: '/health/live' }), 200, { status: 'live', ...buildInfo })
})

void test('/health/ready is 503 while the database is away, and 200 once it is back', async (t) => {
  let fault: Error | undefined
  const app = await startWithoutData(
    t,
    {},
    noDatabase(() => fault),
  )
  const codes = ['ECONNREFUSED', 'CONNECT_TIMEOUT', 'CONNECTION_CLOSED', '57P01', '57P03', '53300', '08006']
  for (const code of codes) {
    fault = Object.assign(new Error('connect to db.internal:5432'), { code })
    const answer = await ask(app, { url: '/health/ready' })
    isAnswer(t, answer, 503, 'Service Unavailable', code)
    t.equal(answer.headers['retry-after'], '1')
  }
  fault = undefined
  isAnswer(t, await ask(app, { url: '/health/ready' }), 200, { status: 'ready', ...buildInfo }, 'it is back')
})
