import { setTimeout as pause } from 'node:timers/promises'

/**
 * Milliseconds that what is answered alike for known and unknown addresses takes at least. There is more to do for one
 * of them (a commit of a slow disk takes 10 ms), and it must not show who has an account.
 */
const ALIKE_MS = 400

/** Runs some work, and takes that long for it at least. */
export type Level = <T>(work: () => Promise<T>) => Promise<T>

export const level =
  (milliseconds = ALIKE_MS): Level =>
  async (work) => {
    const end = performance.now() + milliseconds
    const result = await work()
    // Timers count from when the event loop last looked at the clock, so one alone can be early.
    for (let left = end - performance.now(); left > 0; left = end - performance.now()) await pause(left)
    return result
  }
