import { setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'
import type { Config } from '../../config/config.ts'
import type { Database } from '../connect.ts'
import type { Batch } from './batches.ts'
import { reaper } from './expired.ts'
import { removal } from './removal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Removes everything that belongs to a deleted user. Waits for a moment, which is enough for most users. The rest
     * is removed in the background, by another process where this one ends.
     */
    readonly removeRowsOf: (userId: string) => Promise<void>
    /** Deletes the rest of a user's ended sessions in the background. The next start does it where this process ends. */
    readonly removeEndedSessionsOf: (userId: string) => void
  }
}

const EVERY_MS = 60_000
/** After a start: the first requests go before. */
const FIRST_MS = 1_000
const ANSWER_WITHIN_MS = 250

interface HousekeepingOptions {
  readonly config: Config
  readonly tables: readonly object[]
  /** What is to be done as often beside that. */
  readonly chores: (db: Database) => Record<string, Batch>
}

/** Deletes expired rows and the rows of deleted users, every minute. Failures are logged, and tried again a minute later. */
export const housekeeping = plugin(
  (app, { config, tables, chores }: HousekeepingOptions, done) => {
    const removing = removal(app.db, tables)
    const reap = reaper(app.db, tables, config.AUDIT_RETENTION_DAYS, chores(app.db))
    const closing = new AbortController()
    const running = new Set<Promise<unknown>>()

    /** The database is closed only once `work` has ended. */
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
