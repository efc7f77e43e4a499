import type { FastifyReply } from 'fastify'
import plugin from 'fastify-plugin'
import { RequestTimeout, ServiceUnavailable } from '../contract/errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where it stands among the unanswered. */
    place: number
    /** Milliseconds that its body took, as far as that was looked at. */
    readMs: number
  }
}

/** Longer than whatever is bounded by itself: statements, and passwords that wait to be hashed. */
const ANSWER_WITHIN_MS = 10_000
/** Bodies of slow clients take longer; Node, which would hang up without a word to the metrics, waits longer still. */
export const READ_WITHIN_MS = 20_000
/** In that time it is looked so often. */
const LOOKS = 10

interface DeadlineOptions {
  /** Less only where a test is about it. */
  readonly withinMs?: number
  readonly readWithinMs?: number
}

/**
 * No request goes without an answer: a handler that is stuck for reasons that nobody thought of is answered for, 503,
 * and a client that does not end its body, 408.
 * One timer for all. Fastify's own `handlerTimeout` sets one for each request and aborts a signal at its end, which was
 * a fifteenth of what a small write cost.
 */
export const deadline = plugin(
  (app, { withinMs = ANSWER_WITHIN_MS, readWithinMs = READ_WITHIN_MS }: DeadlineOptions, done) => {
    // No set: bounded-pool.ts says why.
    const unanswered: FastifyReply[] = []
    app.decorateRequest('place', 0)
    app.decorateRequest('readMs', 0)
    app.addHook('onRequest', (request, reply, next) => {
      request.place = unanswered.push(reply) - 1
      next()
    })
    app.onEnded(({ place }, reply) => {
      if (unanswered[place] === reply) remove(place)
    })
    /** The last one takes its place, as order does not matter. */
    function remove(place: number) {
      const last = unanswered.pop()!
      if (place === unanswered.length) return
      unanswered[place] = last
      last.request.place = place
    }
    function isLate({ request, sent, elapsedTime }: FastifyReply) {
      if (sent) return false
      if (!request.reading) return elapsedTime - request.readMs > withinMs
      request.readMs = elapsedTime
      return elapsedTime > readWithinMs
    }
    const looking = setInterval(() => {
      const late = unanswered.filter(isLate)
      for (const reply of late)
        reply.send(reply.request.reading ? new RequestTimeout() : new ServiceUnavailable())
    }, withinMs / LOOKS).unref()
    app.addHook('onClose', async () => clearInterval(looking))
    done()
  },
  { name: 'deadline', dependencies: ['bodies', 'ending'] },
)
