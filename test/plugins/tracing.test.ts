import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import { connectPostgres } from '../../src/db/postgres.ts'
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

interface Span {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  attributes: { key: string; value: object }[]
}

/** A collector, as OTLP over HTTP has it, and the spans that it was sent. */
async function startCollector(t: Test): Promise<{ endpoint: string; spans: Span[]; text: () => string }> {
  const spans: Span[] = []
  const bodies: unknown[] = []
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      bodies.push(body)
      const { resourceSpans } = body as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      return response.writeHead(request.url === '/v1/traces' ? 200 : 404).end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { endpoint: `http://127.0.0.1:${port}/`, spans, text: () => JSON.stringify(bodies) }
}

const loaded = () =>
  Object.keys(createRequire(import.meta.url).cache).filter((path) =>
    /@opentelemetry\/sdk|prom-client/.test(path),
  )

void test('where nothing asks for traces or metrics, nothing of them is loaded', async (t) => {
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

void test('a request can be followed from its caller to the mail that it caused', async (t) => {
  const collector = await startCollector(t)
  const connection = await freshDatabase()
  const { service, log, until } = await startMailing(
    t,
    { connection },
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, PROJECT_NAME: 'Traced' },
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

void test('a request that waits to be let in is traced as itself', needsPostgres, async (t) => {
  const collector = await startCollector(t)
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const other = postgres(url, { max: 1, onnotice: () => undefined })
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 1 })
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint }, { connection })
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
    t.ok(service.app.requestsWaiting() > 0, 'some wait')
    return { all } // a promise would be waited for
  })
  t.ok((await Promise.all(asked.all)).every(({ status }) => status === 200))
  await service.close()
  const namesOf = (trace: string) =>
    collector.spans.filter(({ traceId }) => traceId === trace).map(({ name }) => name)
  for (const trace of traces)
    t.same(namesOf(trace).toSorted(), ['GET /api/v1/users/me', 'query'], 'its own statement, and no other')
})
