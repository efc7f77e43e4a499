import type { TObject, TSchema } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../../config/config.ts'
import { CLIENT_CLOSED, TooManyRequests } from '../../contract/errors.ts'
import { BODY_LIMIT, SITE_ROOM, refusalDelay, throttle as limit } from '../../config/limits.ts'
import { networkOf, siteOf } from '../../text/network.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A health check: never refused by the throttle, not traced, and logged from `warn` on. */
    probe?: true
  }
  interface FastifyRequest {
    /** What limits count as one client: an IPv4 address or an IPv6 /64. */
    network: string
  }
}

/**
 * Limits all requests of one network, unknown paths included, so that no client can overload the service for others. In
 * memory, per process. Refusals are delayed, so that a client that retries at once does not keep the process busy.
 */
export const throttle = plugin(
  (app, { config }: { config: Config }, done) => {
    const secondsToWait = networkMeter()
    let delayed = 0
    function refuse(request: FastifyRequest, next: (error: Error) => void, wait: number) {
      const error = new TooManyRequests('requests', wait)
      if (delayed >= refusalDelay.most) return next(error)
      delayed += 1
      // Jitter: clients that are refused together would retry together.
      setTimeout(
        () => {
          delayed -= 1
          next(request.ended ? CLIENT_CLOSED : error)
        },
        refusalDelay.ms * (0.5 + Math.random()),
      )
    }
    app.decorateRequest('network', '')
    app.addHook('onRequest', (request, _reply, next) => {
      // Read now: a closed connection has no address.
      request.network = networkOf(request.ip)
      const { network } = request
      const wait = config.RATE_LIMIT_ENABLED ? secondsToWait(network, performance.now(), unitsOf(request)) : 0
      if (wait > 0 && request.routeOptions.config.probe !== true) refuse(request, next, wait)
      else next()
    })
    if (config.trustedProxies.length === 0) warnOfProxies(app)
    done()
  },
  { name: 'throttle', dependencies: ['ending', 'security'] },
)

/** A request that costs as much as several counts as often. */
function unitsOf({ headers, query, routeOptions: { bodyLimit, schema } }: FastifyRequest): number {
  const { limit: asked } = query as { limit?: unknown }
  const { limit } = (schema?.querystring as Partial<TObject> | undefined)?.properties ?? {}
  return Math.max(
    bodyLimit > BODY_LIMIT ? unitsOfBody(headers, bodyLimit) : 1,
    asked !== undefined && limit ? unitsOfPage(Number(asked), limit) : 1,
  )
}

/** A body that only few routes take: as often as an ordinary one fits in it. */
function unitsOfBody(headers: FastifyRequest['headers'], bodyLimit: number): number {
  const length =
    headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : bodyLimit
  return Math.ceil(Math.min(length, bodyLimit) / BODY_LIMIT) || 1
}

/** A page of more rows than one has that asks for no number. What is no number of rows is refused later. */
const unitsOfPage = (asked: number, { maximum, default: usual }: TSchema): number =>
  Math.ceil(Math.min(asked, Number(maximum)) / Number(usual)) || 1

/** `meter` by network and by the /48 around it. Refused requests of a network do not count for its /48. */
export function networkMeter(): (network: string, now: number, units?: number) => number {
  const ofNetwork = meter()
  const ofSite = meter({ burst: limit.burst * SITE_ROOM, perSecond: limit.perSecond * SITE_ROOM })
  return (network, now, units) => {
    const site = siteOf(network)
    return ofNetwork(network, now, units) || (site === undefined ? 0 : ofSite(site, now, units))
  }
}

/** Behind a proxy that TRUST_PROXY does not name, all clients count as one. */
function warnOfProxies(app: FastifyInstance) {
  let warned = false
  app.addHook('onRequest', (request, _reply, next) => {
    if (!warned && request.headers['x-forwarded-for'] !== undefined) {
      warned = true
      request.log.warn(
        'X-Forwarded-For is ignored, as TRUST_PROXY names no proxy: limits count all its clients as one',
      )
    }
    next()
  })
}

const SWEEP_EVERY_MS = 1_000

/**
 * GCRA: for each network the time at which its counter is back at zero; each request moves it by `1 / perSecond`. Counters
 * at zero are swept every second, so that there are never more of them than requests came in a second and a burst.
 *
 * @returns a function that counts a request, and says how many seconds to wait where it is too much, else 0
 */
export function meter({ burst, perSecond } = limit): (
  network: string,
  now: number,
  units?: number,
) => number {
  const cost = 1000 / perSecond
  const zeroAt = new Map<string, number>()
  let sweptAt = 0
  return (network, now, units = 1) => {
    if (now - sweptAt >= SWEEP_EVERY_MS) {
      for (const [counted, time] of zeroAt) if (time <= now) zeroAt.delete(counted)
      sweptAt = now
    }
    const next = Math.max(zeroAt.get(network) ?? 0, now) + cost * units
    const wait = next - now - burst * cost
    if (wait > 0) return Math.ceil(wait / 1000)
    zeroAt.set(network, next)
    return 0
  }
}
