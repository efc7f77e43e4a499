import { createRequire } from 'node:module'
import postgres from 'postgres'
import { test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { startCollector } from '../support/collector.ts'
import {
  createDatabase,
  dropDatabase,
  freshDatabase,
  needsPostgres,
  onPostgres,
} from '../support/database.ts'
import { startMailing } from '../support/mailing.ts'
import { startWithoutData } from '../support/no-database.ts'
import { startService } from '../support/service.ts'

const loaded = () =>
  Object.keys(createRequire(import.meta.url).cache).filter((path) =>
    /@opentelemetry\/sdk|prom-client/.test(path),
  )

void test('without traces or metrics configured, their packages are not loaded', async (t) => {
  await startWithoutData(t)
  await startWithoutData(t, {
    OTEL_SDK_DISABLED: 'true',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
  })
  await startWithoutData(t, {
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
  })
  t.same(loaded(), [])
})

void test('a request is traced under its caller, with spans for queries, hashing and mail', async (t) => {
  const collector = await startCollector(t)
  const connection = await freshDatabase()
  const { service, log, until } = await startMailing(
    t,
    { connection },
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, PROJECT_NAME: 'Traced', TRUST_PROXY: '127.0.0.1' },
  )
  t.ok(loaded().length > 0)
  const traceId = 'ab'.repeat(16)
  const body = { email: 'secret-address@example.com', password: 'a secret password' }
  await until(/mail sent/, () =>
    service.call('POST', '/users/', {
      as: service.admin,
      body,
      headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` },
    }),
  )
  await service.close()

  const ofTrace = collector.spans.filter((span) => span.traceId === traceId)
  const request = ofTrace.find(({ name }) => name === 'POST /api/v1/users/')
  t.equal(request?.parentSpanId, 'cd'.repeat(8), "the caller's span is its parent")
  const values = Object.fromEntries(request?.attributes.map(({ key, value }) => [key, value]) ?? [])
  t.match(values, {
    'http.response.status_code': { intValue: 200 },
    'http.route': { stringValue: '/api/v1/users/' },
  })
  if (onPostgres) {
    const queries = ofTrace.filter(({ name }) => name === 'query')
    t.ok(queries.length >= 2, 'the guard looks who it is, and the handler writes')
    for (const { parentSpanId } of queries.slice(0, 2)) t.equal(parentSpanId, request?.spanId)
  }
  t.ok(collector.spans.some(({ name }) => name === 'hash'))
  t.ok(collector.spans.some(({ name }) => name === 'mail'))
  t.match(collector.text(), '"stringValue":"Traced"')
  for (const secret of [body.email, body.password, service.admin.token])
    t.notMatch(collector.text(), secret, 'nobody and nothing secret is named')

  const lines = log.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const completed = lines.find(({ trace_id, msg }) => trace_id === traceId && msg === 'request completed')
  t.type(completed?.reqId, 'string', 'log lines of a request carry both ids')
  t.match(
    lines.find(({ msg }) => msg === 'mail sent'),
    { trace_id: /^[0-9a-f]{32}$/ },
  )
})

void test('a statement that waits is traced under its own request', needsPostgres, async (t) => {
  const collector = await startCollector(t)
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const other = postgres(url, { max: 1, onnotice: () => undefined })
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 1 })
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, TRUST_PROXY: '127.0.0.1' }
  const service = await startService(t, env, { connection })
  t.teardown(async () => {
    await service.close()
    await other.end({ timeout: 1 })
    await dropDatabase(server, url)
  })
  const traces = Array.from({ length: 20 }, (_, n) => n.toString(16).padStart(32, 'a'))
  const read = (trace: string) =>
    service.call('GET', '/users/me', {
      as: service.admin,
      headers: { traceparent: `00-${trace}-${'cd'.repeat(8)}-01` },
    })
  const asked = await other.begin(async (holding) => {
    await holding`lock table sessions in access exclusive mode`
    const all = traces.map(read)
    await service.app.inject('/health/live')
    t.ok(connection.load!().waiting > 0, 'some wait')
    return { all } // wrapped, as begin() would await a promise
  })
  t.ok((await Promise.all(asked.all)).every(({ status }) => status === 200))
  await service.close()
  const namesOf = (trace: string) =>
    collector.spans.filter(({ traceId }) => traceId === trace).map(({ name }) => name)
  for (const trace of traces)
    t.same(namesOf(trace).toSorted(), ['GET /api/v1/users/me', 'query'], 'its own statement, and no other')
})

void test('traceparent is accepted from trusted proxies only', async (t) => {
  const collector = await startCollector(t)
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, TRUST_PROXY: '127.0.0.1' }
  const app = await startWithoutData(t, env)
  const traceId = 'ab'.repeat(16)
  for (const [remoteAddress, flags] of [
    ['192.0.2.1', '00'], // not to be sampled
    ['192.0.2.1', '01'],
    ['127.0.0.1', '01'],
  ] as const)
    await app.inject({
      url: '/api/v1/openapi.json',
      remoteAddress,
      headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-${flags}` },
    })
  await app.close()
  const read = collector.spans.filter(({ name }) => name === 'GET /api/v1/openapi.json')
  t.same(
    read.map((span) => (span.traceId === traceId ? 'of the caller' : 'of its own')),
    ['of its own', 'of its own', 'of the caller'],
  )
})

void test('health checks are not traced', async (t) => {
  const collector = await startCollector(t)
  const app = await startWithoutData(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  for (const url of ['/health/live', '/health/ready', '/api/v1/utils/health-check/', '/docs'])
    await app.inject({ url })
  await app.close()
  t.same(
    collector.spans.map(({ name }) => name).filter((name) => name.startsWith('GET')),
    ['GET /docs'],
  )
})

void test('the database query of a health check is not traced', needsPostgres, async (t) => {
  const collector = await startCollector(t)
  const { app, close } = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  t.equal((await app.inject('/health/ready')).statusCode, 200)
  await close()
  const texts = collector.spans.flatMap(({ attributes }) =>
    attributes.filter(({ key }) => key === 'db.query.text').map(({ value }) => JSON.stringify(value)),
  )
  t.ok(texts.length > 0)
  t.notOk(texts.some((text) => text.includes('select 1 as one')))
})
