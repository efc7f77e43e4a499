import { setTimeout as pause } from 'node:timers/promises'

/**
 * Least duration of answers that must not reveal whether an address is known, in milliseconds. One of the two cases has
 * more to do (a commit on a slow disk takes 10 ms).
 */
const ALIKE_MS = 400

/** Runs `work`, taking at least that long. */
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
