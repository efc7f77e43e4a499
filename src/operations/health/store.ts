import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'

/** A balancer that waits longer than that would not tell a slow service from one that is away. */
const ANSWERS_WITHIN_MS = 1_000

/**
 * Asks whether the database answers soon. However many ask at once, one statement runs: probes take no more than one
 * connection, and that for a moment.
 */
export function pinger(db: Database): () => Promise<boolean> {
  let asking: Promise<boolean> | undefined
  const ask = async () => {
    try {
      const answer = db.execute(sql`select 1`).then(() => true)
      return await Promise.race([answer, pause(ANSWERS_WITHIN_MS, false, { ref: false })])
    } catch {
      return false
    } finally {
      asking = undefined
    }
  }
  return () => (asking ??= ask())
}
