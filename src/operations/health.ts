import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { buildInfo } from '../config/build-info.ts'
import type { App } from '../contract/contract.ts'
import { ServiceUnavailable } from '../contract/errors.ts'
import type { Database } from '../database/connect.ts'
import { probeLogging } from '../http/observe/logger.ts'
import { statement } from '../database/statement.ts'

const schema = { hide: true }
/** Probes are answered under load and before preparation has ended: a refusal would have the process restarted. */
const config = { unprepared: true, probe: true } as const

/** Probes for balancers and orchestrators: whether the process is alive, and whether to send requests to it. */
export function health(app: App) {
  const databaseAnswers = pinger(app.db)
  const options = { schema, config, ...probeLogging(app.config) }

  app.get('/health/live', options, () => ({ status: 'live', ...buildInfo }))

  app.get('/health/ready', options, async () => {
    if (app.stopping.aborted || !app.preparation.done || !(await databaseAnswers()))
      throw new ServiceUnavailable()
    return { status: 'ready', ...buildInfo }
  })
}

/** A balancer takes a slower answer for none. */
const ANSWERS_WITHIN_MS = 1_000

const ping = statement<object, { one: number }>('ping', () => sql`select 1 as one`)

/** @returns whether the database answers soon. Probes at the same time share one statement */
function pinger(db: Database): () => Promise<boolean> {
  let asking: Promise<boolean> | undefined
  const ask = async () => {
    try {
      const answer = db.run(ping, {}).then(() => true)
      return await Promise.race([answer, pause(ANSWERS_WITHIN_MS, false, { ref: false })])
    } catch {
      return false
    } finally {
      asking = undefined
    }
  }
  return () => (asking ??= ask())
}
