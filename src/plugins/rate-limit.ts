import type { FastifyRequest, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import { type Counter, limiter } from '../auth/limiter.ts'
import type { Config } from '../config.ts'
import { TooManyRequests } from '../errors.ts'
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
     * Counts this request under one more limit, by what is told of it; where the limit counts failures alone, once it
     * is known to be one (`settle`).
     *
     * @throws TooManyRequests
     */
    limit(name: LimitName, ...by: string[]): Promise<void>
    /**
     * To be told how a guess went that `limit` let through, before anybody learns of it. A wrong one is counted now. A
     * right one is free, and refused like a wrong one where others reached the limit meanwhile: so a hundred guesses
     * at once tell as little as a hundred one after the other.
     *
     * @throws TooManyRequests
     */
    settle(isRight: boolean): Promise<void>
    /** What this request was counted under. */
    tries: Counter[] | null
    /** What it is counted under if it fails, by key. */
    guesses: Map<string, Counter> | null
  }
}

/** Limits that hold over all replicas (limits.ts): by network as routes declare it, and by more as handlers ask for. */
export const rateLimit = plugin(
  (app, { config }: { config: Config }, done) => {
    const { counter, check, count, giveBack } = limiter(app.db, config)
    app.decorateRequest('tries', null)
    app.decorateRequest('guesses', null)
    app.decorateRequest('limit', async function (this: FastifyRequest, name: LimitName, ...by: string[]) {
      if (!config.RATE_LIMIT_ENABLED) return
      const counted = counter(name, by)
      if (limits[name].counts === 'tries') {
        await count(counted)
        this.tries = [...(this.tries ?? []), counted]
      } else {
        await check(counted)
        this.guesses = (this.guesses ?? new Map<string, Counter>()).set(counted.key, counted)
      }
    })
    app.decorateRequest('settle', async function (this: FastifyRequest, isRight: boolean) {
      const guesses = [...(this.guesses?.values() ?? [])]
      if (isRight) await Promise.all(guesses.map(check))
      else {
        this.guesses = null
        // One after the other, the widest first: what one refuses, the next does not count.
        for (const guess of guesses) await count(guess)
      }
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
    app.addHook('onResponse', (request, { statusCode }, next) => {
      const late = [
        ...(isSpent(statusCode) ? [] : (request.tries ?? []).map(giveBack)),
        ...(isFailure(statusCode) ? [...(request.guesses?.values() ?? [])].map(count) : []),
      ]
      for (const counting of late)
        counting.catch((error: unknown) => {
          if (!(error instanceof TooManyRequests)) request.log.warn({ err: error }, 'limit not counted')
        })
      next()
    })
    done()
  },
  { name: 'rate-limit', dependencies: ['database', 'throttle'] },
)

/** 409 too: it tells that an address is in use. */
const isFailure = (status: number) => status === 400 || status === 401 || status === 409

/** What was not even tried (403, 413, 422, 429, 5xx) does not count. */
const isSpent = (status: number) => status < 400 || isFailure(status)

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
