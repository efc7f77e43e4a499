import { type Socket, connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import type { App } from '../../src/contract/contract.ts'
import { startCollector } from '../support/collector.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { noDatabase, startWithoutData } from '../support/no-database.ts'
import { freePort } from '../support/postgres.ts'
import { UNFINISHED, listen } from '../support/sockets.ts'

const MIB = 1024 * 1024
/** Disconnects at each stage. */
const MANY = 2_500
const AT_ONCE = 100

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`
const recover = (name: string) => get(`/api/v1/password-recovery/${name}@example.com`).replace('GET', 'POST')
const bundle = get('/docs/static/swagger-ui-bundle.js')

/** A database that does not answer between hold() and release(). */
function heldUp() {
  let silent = false
  const waiting: (() => void)[] = []
  return {
    connection: noDatabase(undefined, () =>
      silent ? new Promise((resolve) => waiting.push(resolve)) : undefined,
    ),
    waiting,
    hold: () => void (silent = true),
    release() {
      silent = false
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}

/** Counts the requests that the service began, and collects the status with which each ended. */
function follow(app: App) {
  const ends: number[] = []
  const seen = { begun: 0, ends, changed: () => undefined as void }
  app.server.on('request', () => {
    seen.begun += 1
    seen.changed()
  })
  app.onEnded((_request, _reply, status) => {
    ends.push(status)
    seen.changed()
  })
  return {
    ...seen,
    ends,
    begun: () => seen.begun,
    until: (isSo: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!isSo()) return
          seen.changed = () => undefined
          resolve()
        }
        seen.changed = look
        look()
      }),
  }
}

function open(port: number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes)
      resolve(socket)
    })
    socket.pause().on('error', reject)
  })
}

void test('10,000 clients that disconnect before the answer leak no memory and are each counted as 499', async (t) => {
  const database = heldUp()
  const metricsPort = await freePort()
  const app = await startWithoutData(
    t,
    { METRICS_PORT: String(metricsPort), RATE_LIMIT_ENABLED: 'false' },
    database.connection,
  )
  const authorization = `Authorization: Bearer ${app.jwt.sign({
    sub: '00000000-0000-4000-8000-000000000000',
    sid: '00000000-0000-4000-8000-000000000000',
  })}\r\n`
  const port = await listen(app)
  const { ends, begun, until } = follow(app)

  /** AT_ONCE clients send the request, wait until the service began it, and disconnect. */
  async function abortMany(request: string, requests = 1) {
    const [before, ended] = [begun(), ends.length]
    const sockets = await Promise.all(Array.from({ length: AT_ONCE }, () => open(port, request)))
    await until(() => begun() === before + AT_ONCE * requests)
    for (const socket of sockets) socket.resetAndDestroy()
    await until(() => ends.length === ended + AT_ONCE * requests)
    database.release()
    database.hold()
  }
  const stages: [name: string, request: string, requests?: number][] = [
    ['while it is read', UNFINISHED],
    ['while it is asked who that is', get('/api/v1/users/me', authorization)],
    ['while it is worked on', recover('ada')],
    ['while others on its connection wait behind it', recover('ada') + get('/health/live'), 2],
  ]
  database.hold()
  for (const [, request, requests] of stages)
    for (let warm = 0; warm < 3; warm++) await abortMany(request, requests)
  /** Two rounds of garbage collection: the second frees what the first released. */
  const heap = async () => {
    for (let times = 0; times < 2; times++) {
      await new Promise((resolve) => setImmediate(resolve))
      collectGarbage()
    }
    return process.memoryUsage().heapUsed
  }
  const [before, counted] = [await heap(), ends.length]
  for (const [name, request, requests = 1] of stages) {
    for (let times = 0; times < MANY / AT_ONCE; times++) await abortMany(request, requests)
    t.ok(
      ends.slice(counted).every((status) => status === 499),
      name,
    )
  }
  const more = (await heap()) - before
  t.ok(more < 16 * MIB, `${(more / MIB).toFixed(1)} MiB more`)
  t.equal(ends.length, begun(), 'each ended once')

  const sent = await open(port, bundle.repeat(20))
  await until(() => begun() === ends.length + 1 || begun() > ends.length)
  sent.resetAndDestroy()
  await until(() => begun() === ends.length)
  t.equal(ends.at(-1), 499, 'while it is answered')

  database.release()
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  const counts = [...metrics.matchAll(/^http_request_duration_seconds_count\{(.*)\} (\d+)$/gm)]
  const sum = (all: RegExpExecArray[]) => all.reduce((total, [, , count]) => total + Number(count), 0)
  t.equal(sum(counts), begun(), 'metrics know all of them')
  const gone = counts.filter(([, labels]) => labels?.includes('status="499"'))
  t.equal(sum(gone), ends.filter((status) => status === 499).length)
  t.ok(gone.every(([, labels]) => labels?.includes('route="/')))
  t.notMatch(metrics, 'status="5', 'no alert counts them')
})

void test('a client that disconnects is logged once at level info and traced, as 499', async (t) => {
  const { logger, lines, told } = await collectingLogger()
  const collector = await startCollector(t)
  const database = heldUp()
  const app = await startWithoutData(
    t,
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
    database.connection,
    { logger },
  )
  const port = await listen(app)
  const { ends, begun, until } = follow(app)
  database.hold()
  for (const request of [UNFINISHED, recover('ada')]) {
    const before = begun()
    const socket = await open(port, request)
    await until(() => begun() === before + 1)
    socket.resetAndDestroy()
    await until(() => ends.length === before + 1)
  }
  await told(/client closed request/, 2)
  database.release()
  await app.inject('/health/live')
  const gone = lines.filter((line) => line.includes('client closed request'))
  t.equal(gone.length, 2, 'once each')
  for (const line of gone) {
    const told = JSON.parse(line) as { reqId: string; trace_id: string }
    t.match(told, {
      level: 30,
      reqId: String,
      res: { statusCode: 499 },
      responseTime: Number,
      trace_id: String,
    })
    const others = lines.filter((one) => one.includes(told.reqId) && /request (completed|errored)/.test(one))
    t.equal(others.length, 0, 'and not as completed too')
  }
  t.notMatch(lines.join(''), /"level":[456]0/)
  await app.close()
  for (const route of ['users/signup', 'password-recovery/:email']) {
    const spans = collector.spans.filter(({ name }) => name === `POST /api/v1/${route}`)
    t.equal(spans.length, 1)
    const status = spans[0]?.attributes.find(({ key }) => key === 'http.response.status_code')
    t.match(status, { value: { intValue: 499 } })
  }
})
