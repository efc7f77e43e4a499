import { setTimeout as pause } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Database } from '../connect.ts'
import { isUnavailable } from '../faults.ts'

/** Rows of a batch. It grows while batches are quick, and shrinks after one that was slow. */
const FIRST = 1_000
const LEAST = 10
const MOST = 10_000
const QUICK_MS = 50
const SLOW_MS = 200
/** Each batch is followed by a pause as long as itself, so that they take half of one connection's time at most. */
const LONGEST_PAUSE_MS = 1_000

/** Changes at most `size` rows. @returns how many; fewer than `size` where none is left */
export type Batch = (size: number) => Promise<number>

/**
 * Runs `batch` until no row is left, or `signal` is aborted. A batch that exceeds a timeout is tried again with a tenth of
 * the rows.
 *
 * @returns whether no row is left
 * @throws any error that is no timeout, and timeouts of a batch of the least size
 */
export async function inBatches(batch: Batch, signal: AbortSignal): Promise<boolean> {
  let size = FIRST
  while (!signal.aborted) {
    const begun = performance.now()
    const changed = await batch(size).catch((error: unknown) => {
      if (!isUnavailable(error) || size === LEAST) throw error
      return undefined
    })
    const ms = performance.now() - begun
    if (changed !== undefined && changed < size) return true
    if (changed === undefined) size = Math.max(LEAST, Math.floor(size / 10))
    else if (ms < QUICK_MS) size = Math.min(MOST, size * 2)
    else if (ms > SLOW_MS) size = Math.max(LEAST, Math.floor(size / 2))
    await pause(Math.min(ms, LONGEST_PAUSE_MS), undefined, { ref: false })
  }
  return false
}

/** Batches that delete rows for which `condition` holds. */
export const deletion = (db: Database, table: PgTable, condition: SQL): Batch =>
  changing(db, table, condition, (rows) => sql`delete from ${table} where ctid = any(array(${rows}))`)

/**
 * Batches that change rows for which `condition` holds. Rows that somebody else has locked are skipped, so that batches
 * neither wait nor hold anybody up.
 *
 * @param change makes a statement of a subquery for the `ctid` of the rows to be changed
 */
export const changing =
  (db: Database, table: PgTable, condition: SQL, change: (rows: SQL) => SQL): Batch =>
  (size) =>
    db.transaction(async (transaction) => {
      await transaction.execute(SCAN_INDEXES)
      const rows = sql`select ctid from ${table} where ${condition} limit ${literal(size)} for update skip locked`
      const answer = await transaction.execute(sql`
        with changed as (${change(rows)} returning 1)
        select count(*)::integer as rows from changed`)
      const [changed] = rowsOf<{ rows: number }>(answer)
      return changed!.rows
    })

/**
 * An index scan stops at the limit, and skips entries that earlier batches have killed. PostgreSQL prefers to read all rows
 * for which the condition holds, dead ones too, in each batch: 100 ms instead of 10 with 300,000.
 */
const SCAN_INDEXES = sql`select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)`

export const literal = (number: number) => sql.raw(String(number))

/** The rows of an answer to `execute`: postgres.js answers with an array, PGlite with an object that has one. */
export function rowsOf<Row>(answer: unknown): Row[] {
  const { rows = answer } = answer as { rows?: unknown }
  return rows as Row[]
}
