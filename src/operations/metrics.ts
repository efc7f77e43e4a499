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
 * Metrics for Prometheus at /metrics, on a port of their own where METRICS_PORT is set: it is not for the public.
 * Loaded only then.
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

    const isOwn = ownHosts({ HOST: config.METRICS_HOST, PUBLIC_URL: undefined })
    const server = createServer((request, response) => {
      // As for the service itself (http/hosts.ts): no name of somebody else's leads here.
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
  { name: 'metrics', dependencies: ['auth', 'database', 'ending', 'mail', 'overload', 'preparation'] },
)

/** Always 1: its labels say what runs, and other series are joined with them. */
function tellBuild({ Gauge }: Prometheus, register: Registry) {
  const labels = { version: buildInfo.version, revision: buildInfo.revision ?? '', node: process.version }
  const help = 'Version of the package, commit that it was built from, and version of Node.'
  new Gauge({ name: 'build_info', help, labelNames: Object.keys(labels), registers: [register] }).set(
    labels,
    1,
  )
}

/** By the route's pattern, as paths would be without number. What limits refused has status 429, what no client waited for 499. */
function measureRequests(app: FastifyInstance, { Histogram }: Prometheus, register: Registry) {
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time to answer, by method, route and status.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
    registers: [register],
  })
  app.onEnded((request, reply, status) => {
    const { url: route = 'none' } = request.routeOptions // by which it was answered in the end
    durations.observe({ method: request.method, route, status }, reply.elapsedTime / 1000)
  })
}

/** What waits in this process, and for what. */
function measureQueues(app: FastifyInstance, { Gauge }: Prometheus, register: Registry) {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [register],
      collect() {
        this.set(read())
      },
    })
  const { connection, auth, preparation, requestsWaiting } = app
  if (connection.load) {
    const { load } = connection
    gauge('database_pool_size', 'Connections at most.', () => load().size)
    gauge('database_statements_running', 'Statements that have a connection.', () => load().running)
    gauge('database_statements_waiting', 'Statements that wait for a connection.', () => load().waiting)
  }
  gauge(
    'requests_waiting',
    'Requests that wait to be let in, as the database has enough to do.',
    requestsWaiting,
  )
  gauge('hashing_running', 'Passwords whose turn it is to be hashed.', () => auth.passwords.load().running)
  gauge('hashing_waiting', 'Passwords that wait to be hashed.', () => auth.passwords.load().waiting)
  gauge('prepared', '1 when the schema is up to date, 0 before.', () => Number(preparation.done))
}

/** Read once for each scrape; without the database, the rest is told all the same. */
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
  gauge('database_up', '1 where the database answers.', (backlog) => Number(backlog !== undefined))
  gauge('outbox_waiting', 'Mails that are not sent yet.', (backlog) => backlog?.waiting)
  gauge(
    'outbox_oldest_seconds',
    'Age of the oldest of them; 0 where there is none.',
    (backlog) => backlog?.oldest_seconds,
  )
  gauge('outbox_parked', 'Mails that were given up.', (backlog) => backlog?.parked)
}
