import plugin from 'fastify-plugin'
import { Overloaded } from '../errors.ts'

/** So many statements for each connection may wait for one: a burst is served, and none waits in vain. */
const WAITING_PER_CONNECTION = 60
const TELL_EVERY_MS = 1_000

/** One for all: where it was made tells nothing, and to find that out took a fifth of a refusal. */
const OVERLOADED = new Overloaded()

/**
 * Refuses what can't be served soon before anything is done for it. Let in, it would wait with all others until all are
 * too late, and what was done for them in vain.
 */
export const overload = plugin(
  (app, _options, done) => {
    const { load } = app.connection
    if (!load) return done() // the embedded database has nobody to wait for
    let refused = 0
    let toldAt = 0
    app.addHook('onRequest', (request, _reply, next) => {
      const { size, waiting } = load()
      if (waiting < size * WAITING_PER_CONNECTION || request.routeOptions.config.unprepared) return next()
      refused += 1
      const now = performance.now()
      if (now - toldAt > TELL_EVERY_MS) {
        request.log.warn({ refused, waiting }, 'overloaded: requests are refused')
        toldAt = now
        refused = 0
      }
      next(OVERLOADED)
    })
    done()
  },
  { name: 'overload', dependencies: ['database', 'errors'] },
)
