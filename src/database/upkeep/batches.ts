import { setTimeout as pause } from 'node:timers/promises'
import { isUnavailable } from '../faults.ts'

/** Rows that one batch may remove: few enough to be quick, more where they are, and fewer after one that was late. */
const FIRST = 1_000
const LEAST = 10
const MOST = 10_000
const QUICK_MS = 50
const SLOW_MS = 200
/** Batches take no more than half of one connection's time. */
const LONGEST_PAUSE_MS = 1_000

/** Changes at most `size` rows. @returns how many it changed; fewer than `size` where nothing is left to do */
export type Batch = (size: number) => Promise<number>

/**
 * Runs `batch` until nothing is left to do, or `signal` says to stop. A batch that does not end in time is tried again
 * with fewer rows.
 *
 * @returns whether nothing is left
 * @throws what a batch of the least size throws, and what is no matter of time
 */
export async function inBatches(batch: Batch, signal: AbortSignal): Promise<boolean> {
  let size = FIRST
  while (!signal.aborted) {
    const begun = performance.now()
    const done = await batch(size).catch((error: unknown) => {
      if (!isUnavailable(error) || size === LEAST) throw error
      return undefined
    })
    const ms = performance.now() - begun
    if (done !== undefined && done < size) return true
    if (done === undefined) size = Math.max(LEAST, Math.floor(size / 10))
    else if (ms < QUICK_MS) size = Math.min(MOST, size * 2)
    else if (ms > SLOW_MS) size = Math.max(LEAST, Math.floor(size / 2))
    await pause(Math.min(ms, LONGEST_PAUSE_MS), undefined, { ref: false })
  }
  return false
}
