import { setTimeout as pause } from 'node:timers/promises'

const WITHIN_MS = 60_000
const SERVED_WITHIN_MS = 30_000

/** Waits for what no event tells. @throws where it has not come about in time */
export async function until(isSo: () => Promise<boolean>, withinMs = WITHIN_MS): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await isSo()); await pause(10))
    if (Date.now() > deadline) throw new Error(`it did not come about within ${withinMs / 1000} s`)
}

/** Asks again where a database that was filled with millions of rows a moment ago is still at work with them. */
export async function served<Answer extends { readonly status: number }>(
  ask: () => Promise<Answer>,
): Promise<Answer> {
  for (const deadline = Date.now() + SERVED_WITHIN_MS; ; await pause(250)) {
    const answer = await ask()
    if (answer.status !== 503 || Date.now() > deadline) return answer
  }
}
