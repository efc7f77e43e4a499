import type { FastifyRequest, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import { type Reservation, limiter } from '../auth/limiter.ts'
import type { Config } from '../config.ts'
import { type LimitName, limits } from '../limits.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The limit that counts this route's requests by network, before anything else of them is looked at. Every public
     * route that is not a read names one, or says with false that it needs none.
     */
    limit?: LimitName | false
  }
  interface FastifyRequest {
    /**
     * Counts this request under one more limit, by what is told of it.
     *
     * @throws TooManyRequests
     */
    limit(name: LimitName, ...by: string[]): Promise<void>
    /** What this request was counted as so far. */
    reservations: Reservation[] | null
  }
}

/** Limits that hold over all replicas (limits.ts): by network as routes declare it, and by more as handlers ask for. */
export const rateLimit = plugin(
  (app, { config }: { config: Config }, done) => {
    const { reserve, giveBack } = limiter(app.db, config)
    app.decorateRequest('reservations', null)
    app.decorateRequest('limit', async function (this: FastifyRequest, name: LimitName, ...by: string[]) {
      if (!config.RATE_LIMIT_ENABLED) return
      const reservation = await reserve(name, by)
      this.reservations = [...(this.reservations ?? []), reservation]
    })

    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => {
      routes.push(route)
      const limit = route.config?.limit
      if (!limit) return
      const hook = (request: FastifyRequest) => request.limit(limit, request.network)
      route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
    })
    app.addHook('onReady', (ready) => {
      const stray = routes.find(isUnlimited)
      ready(stray && new RouteWithoutLimit(stray))
    })
    // After the answer, which does not wait for it.
    app.addHook('onResponse', (request, reply, next) => {
      for (const reservation of request.reservations ?? []) {
        if (isSpent(reservation, reply.statusCode)) continue
        giveBack(reservation).catch((error: unknown) =>
          request.log.warn({ err: error }, 'limit not given back'),
        )
      }
      next()
    })
    done()
  },
  { name: 'rate-limit', dependencies: ['database', 'throttle'] },
)

/** What failed counts, and success where the limit says so; what was not even tried (413, 422, 429, 5xx) does not. */
const isSpent = ({ name }: Reservation, status: number) =>
  status === 400 || status === 401 || (status < 400 && limits[name].counts === 'tries')

const READS = new Set(['GET', 'HEAD', 'OPTIONS'])

const isUnlimited = ({ method, config }: RouteOptions) =>
  config?.access === 'public' && config.limit === undefined && [method].flat().some((one) => !READS.has(one))

class RouteWithoutLimit extends Error {
  constructor({ method, url }: RouteOptions) {
    super(
      `${String(method)} ${url} has no limit: name one of limits.ts in its config, or say that it needs none`,
    )
    this.name = 'RouteWithoutLimit'
  }
}
