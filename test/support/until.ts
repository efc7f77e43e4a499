import { setTimeout as pause } from 'node:timers/promises'

const WITHIN_MS = 60_000

/** Waits for what no event tells. @throws where it has not come about in time */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WITHIN_MS; !(await isSo()); await pause(10))
    if (Date.now() > deadline) throw new Error(`it did not come about within ${WITHIN_MS / 1000} s`)
}
