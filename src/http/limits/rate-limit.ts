import type { FastifyError, FastifyRequest, RouteOptions } from 'fastify'
import plugin from 'fastify-plugin'
import { type Counter, limiter } from './limiter.ts'
import type { Config } from '../../config/config.ts'
import {
  InvalidInput,
  PayloadTooLarge,
  TooManyRequests,
  UnreadableBody,
  UnsupportedMediaType,
} from '../../contract/errors.ts'
import { type LimitName, SITE_ROOM, limits } from '../../config/limits.ts'
import { siteOf } from '../../text/network.ts'

/** A limit of failures or successes, and the key that it counts by. */
type Guess = readonly [name: LimitName, ...by: string[]]

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The limit by network for this route, checked before the body is read. Required on every public route that writes;
     * false: it needs none. A limit of failures is enforced by the handler, through `limitNetwork`.
     */
    limit?: LimitName | false
    /** Run the handler even beyond the limit; it refuses by itself (`request.tooMany`). */
    refusesLate?: true
  }
  interface FastifyRequest {
    /**
     * Counts this request under one more limit by network: an IPv4 address, or an IPv6 /64 and the /48 around it. Where the
     * limit counts failures it is not counted yet, and refused if the network had too many when it came.
     *
     * @throws TooManyRequests
     */
    limitNetwork(name: LimitName): Promise<void>
    /**
     * Counts this request under a limit of tries, by something else than its network.
     *
     * @throws TooManyRequests
     */
    limit(name: LimitName, ...by: string[]): Promise<void>
    /**
     * Looks whether these limits let one more guess through; it is counted once it is known how it went (`settle`).
     *
     * @throws TooManyRequests
     */
    guess(...limits: Guess[]): Promise<void>
    /**
     * To be told how a guess went that was let through, before anybody learns of it. A wrong one is counted now. A
     * right one is free, or counted by limits of successes, and refused like a wrong one where others reached a limit
     * meanwhile: so a hundred guesses at once tell as little as a hundred one after the other.
     *
     * @throws TooManyRequests
     */
    settle(isRight: boolean): Promise<void>
    /** Forgets what was counted under a limit. */
    forget(name: LimitName, ...by: string[]): Promise<void>
    /** Counters that this request was added to. */
    tries: Counter[] | null
    /** Counters that it will be added to once its outcome is known, by key. */
    guesses: Map<string, Counter> | null
    /** Set where its network is beyond the route's limit. */
    tooMany: TooManyRequests | null
  }
}

/** Limits shared by all replicas (config/limits.ts): by network as routes declare it, and by other keys as handlers ask. */
export const rateLimit = plugin(
  (app, { config }: { config: Config }, done) => {
    const { counter, check, count, giveBack, forget } = limiter(app.db, config)
    const isOn = config.RATE_LIMIT_ENABLED
    const countersOf = ({ network }: FastifyRequest, name: LimitName): Counter[] => {
      const site = siteOf(network)
      // Network first: what it is refused does not count for its /48.
      return [counter(name, [network]), ...(site === undefined ? [] : [counter(name, [site], SITE_ROOM)])]
    }
    async function countAll(request: FastifyRequest, counters: readonly Counter[]) {
      for (const counted of counters) {
        await count(counted)
        request.tries = [...(request.tries ?? []), counted]
      }
    }
    function guessUnder(request: FastifyRequest, counters: readonly Counter[]) {
      request.guesses ??= new Map<string, Counter>()
      for (const counted of counters) request.guesses.set(counted.key, counted)
    }
    /** Checked before the body is read; the handler decides when to refuse. */
    async function lookAtNetwork(request: FastifyRequest, name: LimitName) {
      const counters = countersOf(request, name)
      const looked = limits[name].counts === 'tries' ? countAll(request, counters) : check(counters)
      await looked.catch((error: unknown) => {
        if (!(error instanceof TooManyRequests)) throw error
        request.tooMany = error
      })
    }

    app.decorateRequest('tries', null)
    app.decorateRequest('guesses', null)
    app.decorateRequest('tooMany', null)
    app.decorateRequest('limitNetwork', async function (this: FastifyRequest, name: LimitName) {
      if (!isOn) return
      const counters = countersOf(this, name)
      if (limits[name].counts === 'tries') return countAll(this, counters)
      if (this.tooMany) throw this.tooMany
      guessUnder(this, counters)
    })
    app.decorateRequest('limit', async function (this: FastifyRequest, name: LimitName, ...by: string[]) {
      if (isOn) await countAll(this, [counter(name, by)])
    })
    app.decorateRequest('guess', async function (this: FastifyRequest, ...limited: Guess[]) {
      if (!isOn) return
      const counters = limited.map(([name, ...by]) => counter(name, by))
      await check(counters)
      guessUnder(this, counters)
    })
    app.decorateRequest('forget', async function (this: FastifyRequest, name: LimitName, ...by: string[]) {
      if (isOn) await forget(counter(name, by))
    })
    app.decorateRequest('settle', async function (this: FastifyRequest, isRight: boolean) {
      const guesses = [...(this.guesses?.values() ?? [])]
      const [successes, failures] = [guesses.filter(countsSuccesses), guesses.filter(countsFailures)]
      this.guesses = null
      if (guesses.length === 0) return
      if (isRight) await Promise.all([check(failures), ...successes.map(count)])
      else {
        // In order, networks first: what one refuses, the next does not count.
        for (const guess of failures) await count(guess)
      }
    })

    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => {
      routes.push(route)
      const { limit, refusesLate = false } = route.config ?? {}
      if (!limit || !isOn) return
      if (limits[limit].counts === 'tries' && !refusesLate) {
        const hook = (request: FastifyRequest) => request.limitNetwork(limit)
        route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
      } else {
        const hook = (request: FastifyRequest) => lookAtNetwork(request, limit)
        route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
        // 429 comes before errors of the body (contract: order of errors).
        route.errorHandler = (error, { tooMany }) => {
          throw isOfBody(error) ? (tooMany ?? error) : error
        }
      }
    })
    app.addHook('onReady', (ready) => {
      const stray = routes.find(isUnlimited)
      ready(stray && new RouteWithoutLimit(stray))
    })
    function settleLate(request: FastifyRequest, status: number) {
      const guesses = isFailure(status) ? [...(request.guesses?.values() ?? [])] : []
      const late = [
        ...(isSpent(status) ? [] : (request.tries ?? []).map(giveBack)),
        ...guesses.filter(countsFailures).map(count),
      ]
      request.tries = request.guesses = null
      for (const counting of late)
        counting.catch((error: unknown) => {
          if (!(error instanceof TooManyRequests)) request.log.warn({ err: error }, 'limit not counted')
        })
    }
    // After the answer, so that it does not wait for the database.
    app.addHook('onResponse', (request, { statusCode }, next) => {
      settleLate(request, statusCode)
      next()
    })
    // A guess counts even if the client hung up before the answer.
    app.addHook('onSend', (request, { statusCode }, payload, next) => {
      if (request.ended) settleLate(request, statusCode)
      next(null, payload)
    })
    done()
  },
  { name: 'rate-limit', dependencies: ['database', 'ending', 'throttle'] },
)

const countsFailures = ({ name }: Counter) => limits[name].counts === 'failures'
const countsSuccesses = ({ name }: Counter) => limits[name].counts === 'successes'

/** Whether an error is about reading or validating the body. */
const isOfBody = (error: FastifyError) =>
  error.validation !== undefined ||
  error.code?.startsWith('FST_ERR_CTP_') ||
  [InvalidInput, PayloadTooLarge, UnreadableBody, UnsupportedMediaType].some((kind) => error instanceof kind)

/** 409 included: it reveals that an address is in use. */
const isFailure = (status: number) => status === 400 || status === 401 || status === 409

/** 403, 413, 422, 429 and 5xx are given back: nothing was tried. */
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
