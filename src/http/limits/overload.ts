import { AsyncResource } from 'node:async_hooks'
import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { ClientClosedRequest, Overloaded } from '../../contract/errors.ts'

/** So many statements at once keep each connection at work; more of them wait for each other. */
const STATEMENTS_PER_CONNECTION = 8
/** So many requests for each connection may wait to be let in, for so long, as a part of what a statement may run. */
const REQUESTS_PER_CONNECTION = 200
const WAIT_SHARE = 0.6
/** How often it is looked whose time is over. */
const LOOK_EVERY_MS = 25
const TELL_EVERY_MS = 1_000

/** One for all: where it was made tells nothing, and to find that out took a fifth of a refusal. */
const OVERLOADED = new Overloaded()
const CLOSED = new ClientClosedRequest()

declare module 'fastify' {
  interface FastifyInstance {
    /** How many requests wait to be let in. */
    readonly requestsWaiting: () => number
  }
}

type Next = (error?: Error) => void

interface Waiting {
  readonly request: FastifyRequest
  readonly next: Next
  /** Milliseconds, by the clock of the process. */
  readonly until: number
}

/**
 * Lets in what the database can take. A burst waits outside, where it costs next to nothing: inside, all would wait for
 * each other, and what was done for those that are too late in the end would be in vain. What does not get in soon is
 * refused.
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
      // Counted down: who is let in may ask the database a moment later.
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
      const { unprepared, throttled } = request.routeOptions.config
      if (unprepared || throttled === false || (waiting.length === 0 && places() > 0)) return next()
      const now = performance.now()
      const { size, runMs } = load()
      if (waiting.length >= size * REQUESTS_PER_CONNECTION) return refuse(next, now)
      // It goes on where another request ends, and is not to be traced as a part of that.
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
