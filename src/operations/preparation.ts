import { setTimeout as pause } from 'node:timers/promises'
import plugin from 'fastify-plugin'
import { allowForOtherHashes } from '../accounts/passwords/other-hashes.ts'
import { ADDRESS_TAKEN, makeFirstSuperuser } from '../accounts/users/first-superuser.ts'
import { noteKeys } from '../accounts/keys/note-keys.ts'
import type { Config } from '../config/config.ts'
import { isRefused, isUnavailable } from '../database/faults.ts'
import { ServiceUnavailable } from '../contract/errors.ts'
import { startFault } from './start-faults.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly preparation: Preparation
  }
  interface FastifyContextConfig {
    /** The route is answered even before the database is ready. */
    unprepared?: boolean
  }
}

interface Preparation {
  /** Whether migrations and the first superuser are done. */
  readonly done: boolean
  /** Resolves when they are, or the service is closed. */
  readonly whenDone: Promise<void>
}

interface PreparationOptions {
  readonly config: Config
  /** Aborted when the process is to end: stops waiting for the database. */
  readonly stop?: AbortSignal | undefined
}

/** How long a start waits for the database; then the service listens all the same, and retries in the background. */
const START_WITHIN_MS = 5_000
const RETRY_MS = 1_000

/**
 * Migrations and the first superuser, before requests are answered. If the database is away, or another replica is
 * migrating it, the service starts all the same: it is live, not ready, and answers 503 until this is done. With
 * MIGRATE_ON_START=false it waits in the same way for `npm run db:migrate`.
 *
 * @throws where the first try shows that waiting won't help: refused credentials, no such database, a migration that
 *   fails. Refusals met later are tried again; a migration that fails later ends the process (serve.ts)
 */
export const preparation = plugin(
  async (app, { config, stop }: PreparationOptions) => {
    let done = false
    let lastFault: string | undefined
    const closing = new AbortController()
    const note = noteKeys(app.db, config)
    app.addHook('onClose', async () => closing.abort())

    async function prepare(mayWait: (error: unknown) => boolean) {
      try {
        const { connection } = app
        // The embedded database is this process's alone: nobody else could migrate it.
        if (config.MIGRATE_ON_START || !connection.checkMigrated) await connection.migrate()
        else await connection.checkMigrated()
        await connection.check?.()
        await note()
        const made = await makeFirstSuperuser(app.db, app.auth.passwords, config)
        if (made === ADDRESS_TAKEN)
          app.log.warn(
            'There is no active superuser, and the address of FIRST_SUPERUSER is of another account: choose one that is free',
          )
        else if (made !== undefined) app.log.info({ user_id: made }, 'first superuser made')
        await allowForOtherHashes(app.db, app.auth.passwords)
        done = true
      } catch (error) {
        if (!mayWait(error) && !closing.signal.aborted) throw error
        if (closing.signal.aborted) return
        const line = startFault(error, config)
        if (line === undefined) app.log.warn({ err: error }, 'the database is not there yet')
        else if (line !== lastFault) app.log.warn(line) // tried again each second, and told when it is another fault
        lastFault = line
      }
    }
    async function goOn() {
      while (!done) {
        await pause(RETRY_MS, undefined, { ref: false })
        if (closing.signal.aborted) return
        await prepare((error) => isUnavailable(error) || isRefused(error))
      }
    }

    const first = prepare((error) => isUnavailable(error) && !isRefused(error))
    const longEnough = pause(START_WITHIN_MS, undefined, { ref: false, ...(stop && { signal: stop }) })
    await Promise.race([first, longEnough.catch(() => undefined)])
    const whenDone = first.then(goOn)
    app.decorate('preparation', {
      get done() {
        return done
      },
      whenDone,
    })
    app.addHook('onRequest', (request, _reply, next) => {
      next(done || request.routeOptions.config.unprepared ? undefined : new ServiceUnavailable())
    })
  },
  { name: 'preparation', dependencies: ['auth', 'database'] },
)
