import { setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'
import { reaper } from './expired.ts'
import { removal } from './removal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Removes what belongs to a user who was deleted. Waits for it a moment, which is enough for most; what is left then
     * goes on behind, and in another process where this one is ended.
     */
    readonly removeRowsOf: (userId: string) => Promise<void>
    /**
     * Removes what is left of a user's ended sessions, after the answer. Where this process is ended meanwhile, the next
     * one that starts does it.
     */
    readonly removeEndedSessionsOf: (userId: string) => void
  }
}

const EVERY_MS = 60_000
/** After a start; not at once, as that is when there is most to do. */
const FIRST_MS = 1_000
const ANSWER_WITHIN_MS = 250

/** Removes what is over, every minute. What fails is told in the log, and tried again in the next turn. */
export const housekeeping = plugin(
  (app, _options, done) => {
    const [removing, reap] = [removal(app.db), reaper(app.db)]
    const closing = new AbortController()
    const running = new Set<Promise<unknown>>()

    /** Ends what it does before the database is closed. */
    function run(work: Promise<unknown>) {
      const ended = work.finally(() => running.delete(ended))
      running.add(ended)
      return ended
    }

    function failed(error: unknown, chore: string, next = 'in a minute') {
      if (!closing.signal.aborted)
        app.log.warn({ err: error, chore }, `housekeeping failed, and is tried again ${next}`)
    }

    async function goOn() {
      await app.preparation.whenDone
      for (let wait = FIRST_MS; !closing.signal.aborted; wait = EVERY_MS) {
        await pause(wait, undefined, { ref: false, signal: closing.signal })
        await run(reap(closing.signal, failed))
      }
    }

    app.decorate('removeRowsOf', async (userId) => {
      const removal = removing.ofUser(userId, closing.signal)
      const removed = run(removal.catch((error: unknown) => failed(error, 'deleted users')))
      await Promise.race([removed, pause(ANSWER_WITHIN_MS, undefined, { ref: false })])
    })
    app.decorate('removeEndedSessionsOf', (userId) => {
      const removed = removing.endedSessionsOf(userId, closing.signal)
      void run(removed.catch((error: unknown) => failed(error, 'ended sessions', 'at the next start')))
    })
    app.addHook('onReady', (next) => {
      goOn().catch(() => undefined) // closed
      next()
    })
    app.addHook('onClose', async () => {
      closing.abort()
      await Promise.all(running)
    })
    done()
  },
  { name: 'housekeeping', dependencies: ['database', 'preparation'] },
)
