import type { FastifyReply } from 'fastify'
import plugin from 'fastify-plugin'
import { ServiceUnavailable } from '../errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where it stands among the unanswered. */
    place: number
  }
}

/** Longer than whatever is bounded by itself: statements, and passwords that wait to be hashed. */
const ANSWER_WITHIN_MS = 10_000
/** In that time it is looked so often. */
const LOOKS = 10

interface DeadlineOptions {
  /** Less only where a test is about it. */
  readonly withinMs?: number
}

/**
 * No request goes without an answer: a handler that is stuck for reasons that nobody thought of is answered for, 503.
 * One timer for all. Fastify's own `handlerTimeout` sets one for each request and aborts a signal at its end, which was
 * a fifteenth of what a small write cost.
 */
export const deadline = plugin(
  (app, { withinMs = ANSWER_WITHIN_MS }: DeadlineOptions, done) => {
    // No set: bounded-pool.ts says why.
    const unanswered: FastifyReply[] = []
    app.decorateRequest('place', 0)
    app.addHook('onRequest', (request, reply, next) => {
      request.place = unanswered.push(reply) - 1
      next()
    })
    app.addHook('onResponse', ({ place }, reply, next) => {
      if (unanswered[place] === reply) remove(place)
      next()
    })
    /** The last one takes its place, as order does not matter. */
    function remove(place: number) {
      const last = unanswered.pop()!
      if (place === unanswered.length) return
      unanswered[place] = last
      last.request.place = place
    }
    const looking = setInterval(() => {
      const late = unanswered.filter((reply) => !reply.sent && reply.elapsedTime > withinMs)
      for (const reply of late) reply.send(new ServiceUnavailable())
    }, withinMs / LOOKS).unref()
    app.addHook('onClose', async () => clearInterval(looking))
    done()
  },
  { name: 'deadline' },
)
