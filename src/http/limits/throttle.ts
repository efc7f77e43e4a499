import type { FastifyInstance, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Config } from '../../config/config.ts'
import { ClientClosedRequest, TooManyRequests } from '../../contract/errors.ts'
import { SITE_ROOM, refusalDelay, throttle as limit } from '../../config/limits.ts'
import { networkOf, siteOf } from '../../text/network.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for probes: neither the throttle nor overload refuses them, as who asks would take the process for dead. */
    throttled?: false
  }
  interface FastifyRequest {
    /** Whom limits count as one: an IPv4 address or an IPv6 /64. */
    network: string
  }
}

/**
 * In front of everything, paths that nobody serves too: no single network takes the service from the others. In memory,
 * for each process alone.
 */
export const throttle = plugin(
  (app, { config }: { config: Config }, done) => {
    const secondsToWait = networkMeter()
    let delayed = 0
    function refuse(request: FastifyRequest, next: (error: Error) => void, wait: number) {
      const error = new TooManyRequests('requests', wait)
      if (delayed >= refusalDelay.most) return next(error)
      delayed += 1
      // Spread out: refused together, they would come back together.
      setTimeout(
        () => {
          delayed -= 1
          next(request.ended ? new ClientClosedRequest() : error)
        },
        refusalDelay.ms * (0.5 + Math.random()),
      )
    }
    app.decorateRequest('network', '')
    app.addHook('onRequest', (request, _reply, next) => {
      // Now, as a connection that is gone has no address any more.
      request.network = networkOf(request.ip)
      const wait = config.RATE_LIMIT_ENABLED ? secondsToWait(request.network, performance.now()) : 0
      if (wait > 0 && request.route.config.throttled !== false) refuse(request, next, wait)
      else next()
    })
    if (config.trustedProxies.length === 0) warnOfProxies(app)
    done()
  },
  { name: 'throttle', dependencies: ['ending', 'route', 'security'] },
)

/** As `meter`, by network and by the /48 around it. What one network has too much of does not count for the others there. */
export function networkMeter(): (network: string, now: number) => number {
  const ofNetwork = meter()
  const ofSite = meter({ burst: limit.burst * SITE_ROOM, perSecond: limit.perSecond * SITE_ROOM })
  return (network, now) => {
    const site = siteOf(network)
    return ofNetwork(network, now) || (site === undefined ? 0 : ofSite(site, now))
  }
}

/** Behind a proxy that is not named, everybody would be counted as one. */
function warnOfProxies(app: FastifyInstance) {
  let warned = false
  app.addHook('onRequest', (request, _reply, next) => {
    if (!warned && request.headers['x-forwarded-for'] !== undefined) {
      warned = true
      request.log.warn(
        'X-Forwarded-For is ignored: TRUST_PROXY names no proxy. Limits count what came through as one',
      )
    }
    next()
  })
}

const ROWS = 4
const CELLS = 2 ** 16

/**
 * A count-min sketch whose cells are leaky buckets (GCRA: the time at which the bucket will be empty). Memory is 2 MB
 * whatever comes, and nothing is ever pushed out: a network counts by the emptiest of its four cells, so others could
 * hold it up only by filling all four, which 5,000 of them at their limit do to one network in 30,000.
 *
 * @returns a function that counts a request, and says how many seconds to wait where it is too much, else 0
 */
export function meter({ burst, perSecond } = limit): (network: string, now: number) => number {
  const cells = new Float64Array(ROWS * CELLS)
  const [seed = 0, step = 0] = crypto.getRandomValues(new Uint32Array(2))
  const cost = 1000 / perSecond
  return (network, now) => {
    const [first, distance] = [hash(network, seed), hash(network, step)]
    const cell = (row: number) => row * CELLS + (((first + row * distance) >>> 0) % CELLS)
    let emptyAt = Infinity
    for (let row = 0; row < ROWS; row++) emptyAt = Math.min(emptyAt, cells[cell(row)]!)
    emptyAt = Math.max(emptyAt, now) + cost
    const wait = emptyAt - now - burst * cost
    if (wait > 0) return Math.ceil(wait / 1000)
    for (let row = 0; row < ROWS; row++) cells[cell(row)] = Math.max(cells[cell(row)]!, emptyAt)
    return 0
  }
}

/** 32 bits in the manner of MurmurHash. From a secret start, so that nobody can look for networks that share cells. */
function hash(text: string, start: number): number {
  let bits = start
  for (let at = 0; at < text.length; at++) {
    bits = Math.imul(bits ^ text.charCodeAt(at), 0x5bd1e995)
    bits ^= bits >>> 15
  }
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
