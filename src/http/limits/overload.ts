import { AsyncResource } from 'node:async_hooks'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { ClientClosedRequest, Overloaded } from '../../contract/errors.ts'

/** Statements in flight per connection that keep it busy; more only wait for each other. */
const STATEMENTS_PER_CONNECTION = 8
/** Queue limit per connection, and maximum wait as a fraction of the statement timeout. */
const REQUESTS_PER_CONNECTION = 200
const WAIT_SHARE = 0.6
/** Interval at which the queue is checked for requests that waited too long. */
const LOOK_EVERY_MS = 25
const TELL_EVERY_MS = 1_000

/** Shared instances: a stack trace per refusal took a fifth of its time, and says nothing. */
const OVERLOADED = new Overloaded()
const CLOSED = new ClientClosedRequest()

declare module 'fastify' {
  interface FastifyInstance {
    /** Number of requests in the queue. */
    readonly requestsWaiting: () => number
  }
}

type Next = (error?: Error) => void

interface Waiting {
  readonly request: FastifyRequest
  readonly next: Next
  /** By performance.now(). */
  readonly until: number
}

/**
 * Admission control. Excess requests queue before authentication, where they hold no connection; a request that does not
 * get its turn within the limit is refused with 503, before any work was done for it.
 */
export const overload = plugin(
  (app, _options, done) => {
    const { load } = app.connection
    const waiting: Waiting[] = []
    app.decorate('requestsWaiting', () => waiting.length)
    if (!load) return done() // the embedded database has nobody to wait for
    let looking: NodeJS.Timeout | undefined
    let [refused, toldAt] = [0, 0]

    function places() {
      const { size, running, waiting } = load!()
      return size * STATEMENTS_PER_CONNECTION - running - waiting
    }

    function letIn() {
      // Counted down, as an admitted request may send its first statement a moment later.
      for (let free = waiting.length > 0 ? places() : 0; free > 0 && waiting.length > 0;) {
        const { request, next } = waiting.shift()!
        if (request.ended) next(CLOSED)
        else {
          next()
          free -= 1
        }
      }
    }

    function look() {
      letIn()
      const now = performance.now()
      while (waiting[0] && waiting[0].until <= now) refuse(waiting.shift()!.next, now)
      if (waiting.length > 0) return
      clearInterval(looking)
      looking = undefined
    }

    function refuse(next: Next, now: number) {
      refused += 1
      if (now - toldAt > TELL_EVERY_MS) {
        app.log.warn({ refused, waiting: waiting.length }, 'overloaded: requests are refused')
        ;[refused, toldAt] = [0, now]
      }
      next(OVERLOADED)
    }

    app.addHook('onRequest', (request, _reply, next) => {
      const { unprepared, probe } = request.routeOptions.config
      if (unprepared || probe || (waiting.length === 0 && places() > 0)) return next()
      const now = performance.now()
      const { size, runMs } = load()
      if (waiting.length >= size * REQUESTS_PER_CONNECTION) return refuse(next, now)
      // Resumed when another request ends, whose trace it must not become a part of.
      waiting.push({ request, next: inItsOwnContext(next), until: now + runMs * WAIT_SHARE })
      looking ??= setInterval(look, LOOK_EVERY_MS).unref()
    })
    app.onEnded(letIn)
    done()
  },
  { name: 'overload', dependencies: ['database', 'ending', 'errors'] },
)

/** As `AsyncResource.bind`, which in Node 20 takes 14 µs to give what it binds a deprecated property. */
function inItsOwnContext(next: Next): Next {
  const resource = new AsyncResource('WaitingRequest')
  return (error) => resource.runInAsyncScope(next, undefined, error)
}
