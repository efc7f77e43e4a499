import type { FastifyReply } from 'fastify'
import plugin from 'fastify-plugin'
import { RequestTimeout, ServiceUnavailable } from '../contract/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Answers at once what is not answered yet, as if its time were over: before connections are closed at a stop. */
    readonly answerLate: () => void
  }
  interface FastifyRequest {
    /** Its index in the list of unanswered requests. */
    place: number
    /** Milliseconds until its body was last seen incomplete. */
    readMs: number
  }
}

/** Longer than anything that has a limit of its own by default: statements, queued hashes. */
const ANSWER_WITHIN_MS = 10_000
/** For the body of a slow client. Node's requestTimeout is longer, as it hangs up without an answer. */
export const READ_WITHIN_MS = 20_000
/** Checks per ANSWER_WITHIN_MS. */
const LOOKS = 10

interface DeadlineOptions {
  /** For tests. */
  readonly withinMs?: number
  readonly readWithinMs?: number
}

/**
 * Answers every request in bounded time: 503 if the handler hangs, 408 if the client does not finish its body.
 * Fastify's `handlerTimeout` does not cover the body, and its timer per request took 7 % of a small write.
 */
export const deadline = plugin(
  (app, { withinMs = ANSWER_WITHIN_MS, readWithinMs = READ_WITHIN_MS }: DeadlineOptions, done) => {
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
    /** Swap with the last: order does not matter. */
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
    const answer = (late: readonly FastifyReply[]) => {
      for (const reply of late)
        reply.send(reply.request.reading ? new RequestTimeout() : new ServiceUnavailable())
    }
    app.decorate('answerLate', () => answer(unanswered.filter(({ sent }) => !sent)))
    const looking = setInterval(() => answer(unanswered.filter(isLate)), withinMs / LOOKS).unref()
    app.addHook('onClose', async () => clearInterval(looking))
    done()
  },
  { name: 'deadline', dependencies: ['bodies', 'ending'] },
)
