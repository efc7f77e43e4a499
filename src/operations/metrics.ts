import { once } from 'node:events'
import { createServer } from 'node:http'
import plugin from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type prometheus from 'prom-client'
import { buildInfo } from '../config/build-info.ts'
import type { Config } from '../config/config.ts'
import { ownHosts } from '../config/own-hosts.ts'
import type { Backlog } from '../mail/outbox.ts'

type Prometheus = typeof prometheus

/**
 * Prometheus metrics at /metrics, on METRICS_PORT, which is not to be public. Loaded only if that is set.
 */
export const metrics = plugin(
  async (app, { config }: { config: Config }) => {
    const port = config.METRICS_PORT
    if (port === undefined) return
    const { default: prometheus } = await import('prom-client')
    const register = new prometheus.Registry()
    prometheus.collectDefaultMetrics({ register })
    tellBuild(prometheus, register)
    measureRequests(app, prometheus, register)
    measureQueues(app, prometheus, register)
    measureOutbox(app, prometheus, register)
    countEvents(app, prometheus, register)

    const isOwn = ownHosts({ HOST: config.METRICS_HOST, PUBLIC_URL: undefined })
    const server = createServer((request, response) => {
      // As http/hosts.ts: protects local development from DNS rebinding.
      if (config.ENVIRONMENT === 'local' && !isOwn(request.headers.host)) return response.writeHead(403).end()
      if (request.url?.split('?', 1)[0] !== '/metrics') return response.writeHead(404).end()
      const send = (text: string) => response.setHeader('content-type', register.contentType).end(text)
      return void register.metrics().then(send, () => response.writeHead(500).end())
    })
    server.listen(port, config.METRICS_HOST)
    await once(server, 'listening')
    app.addHook('onClose', async () => {
      server.close()
      server.closeAllConnections()
    })
  },
  { name: 'metrics', dependencies: ['auth', 'database', 'ending', 'events', 'mail', 'preparation'] },
)

/** `build_info`, always 1, whose labels say what runs. */
function tellBuild({ Gauge }: Prometheus, register: Registry) {
  const labels = { version: buildInfo.version, revision: buildInfo.revision ?? '', node: process.version }
  const help = 'Version, commit and Node version of the running build.'
  new Gauge({ name: 'build_info', help, labelNames: Object.keys(labels), registers: [register] }).set(
    labels,
    1,
  )
}

/** By route pattern, as the number of paths is unbounded. 499: the client hung up before the answer. */
function measureRequests(app: FastifyInstance, { Histogram }: Prometheus, register: Registry) {
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of HTTP requests in seconds, by method, route pattern and status.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
    registers: [register],
  })
  app.onEnded((request, reply, status) => {
    const { url: route = 'none' } = request.routeOptions
    durations.observe({ method: request.method, route, status }, reply.elapsedTime / 1000)
  })
}

/** Those of the log. */
function countEvents(app: FastifyInstance, { Counter }: Prometheus, register: Registry) {
  const events = new Counter({
    name: 'security_events_total',
    help: 'Security events, by event and outcome.',
    labelNames: ['event', 'outcome'] as const,
    registers: [register],
  })
  app.onSecurityEvent((event, outcome) => events.inc({ event, outcome }))
}

/** Queues of this process. */
function measureQueues(app: FastifyInstance, { Counter, Gauge }: Prometheus, register: Registry) {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [register],
      collect() {
        this.set(read())
      },
    })
  const { connection, auth, preparation } = app
  if (connection.load) {
    const { load } = connection
    gauge('database_pool_size', 'Maximum number of connections.', () => load().size)
    gauge('database_statements_running', 'Statements sent to a connection.', () => load().running)
    gauge('database_statements_waiting', 'Statements queued for a connection.', () => load().waiting)
    const refused = new Counter({
      name: 'database_statements_refused_total',
      help: 'Statements refused because too many were queued, or no connection was free in time.',
      collect() {
        this.reset()
        this.inc(load().refused)
      },
      registers: [],
    })
    register.registerMetric(refused)
  }
  gauge('hashing_running', 'Password hashes being computed.', () => auth.passwords.load().running)
  gauge('hashing_waiting', 'Password hashes queued.', () => auth.passwords.load().waiting)
  gauge('prepared', '1 once migrations are done, 0 before.', () => Number(preparation.done))
}

/** One query per scrape; without the database, the other metrics are still answered. */
function measureOutbox(app: FastifyInstance, { Gauge }: Prometheus, register: Registry) {
  let reading: Promise<Backlog | undefined> | undefined
  const read = () =>
    (reading ??= app.mail
      .backlog()
      .catch(() => undefined)
      .finally(() => (reading = undefined)))
  const gauge = (name: string, help: string, pick: (backlog: Backlog | undefined) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers: [register],
      async collect() {
        this.set(pick(await read()) ?? Number.NaN)
      },
    })
  gauge('database_up', '1 if the database answers, else 0.', (backlog) => Number(backlog !== undefined))
  gauge('outbox_waiting', 'Mails to be sent.', (backlog) => backlog?.waiting)
  gauge(
    'outbox_oldest_seconds',
    'Age in seconds of the oldest mail to be sent; 0 if there is none.',
    (backlog) => backlog?.oldest_seconds,
  )
  gauge('outbox_parked', 'Mails given up after repeated failures.', (backlog) => backlog?.parked)
}
