import plugin from 'fastify-plugin'
import { reaper } from '../db/expired.ts'

const EVERY_MS = 10 * 60_000

/** Clears away what is over, now and then. Any number of replicas may do so; a failure waits for the next turn. */
export const housekeeping = plugin(
  (app, _options, done) => {
    const reap = reaper(app.db)
    const turn = () =>
      void reap().catch((error: unknown) => app.log.warn({ err: error }, 'housekeeping failed'))
    const timer = setInterval(turn, EVERY_MS)
    timer.unref()
    app.addHook('onClose', () => clearInterval(timer))
    done()
  },
  { name: 'housekeeping', dependencies: ['database'] },
)
