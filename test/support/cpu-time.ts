/** Compiling, collecting garbage and other programs cost time now and then; work that grows faster than its input always does. */
const MOST_RUNS = 50

/** Milliseconds of processor time of the quickest of some runs; no more are tried once one took `enoughMs`. */
export async function quickest(enoughMs: number, run: () => unknown): Promise<number> {
  let least = Infinity
  for (let runs = 0; runs < MOST_RUNS && least > enoughMs; runs++) {
    const start = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(start)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}
