import type { FastifyReply } from 'fastify'
import plugin from 'fastify-plugin'
import { ServiceUnavailable } from '../errors.ts'

/** Longer than whatever is bounded by itself: statements, and passwords that wait to be hashed. */
const ANSWER_WITHIN_MS = 10_000
const LOOK_EVERY_MS = 1_000

/**
 * No request goes without an answer: a handler that is stuck for reasons that nobody thought of is answered for, 503.
 * One timer for all. Fastify's own `handlerTimeout` sets one for each request and aborts a signal at its end, which was
 * a tenth of what a small write costs.
 */
export const deadline = plugin(
  (app, _options, done) => {
    const unanswered = new Set<FastifyReply>()
    app.addHook('onRequest', (_request, reply, next) => {
      unanswered.add(reply)
      next()
    })
    app.addHook('onResponse', (_request, reply, next) => {
      unanswered.delete(reply)
      next()
    })
    const looking = setInterval(() => {
      for (const reply of unanswered) {
        if (reply.elapsedTime < ANSWER_WITHIN_MS) return // those after it came later
        unanswered.delete(reply)
        if (!reply.sent) reply.send(new ServiceUnavailable())
      }
    }, LOOK_EVERY_MS).unref()
    app.addHook('onClose', async () => clearInterval(looking))
    done()
  },
  { name: 'deadline' },
)
