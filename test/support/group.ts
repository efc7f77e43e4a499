import { appendFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'tap'

/**
 * Runs test files one after the other. Each is loaded by a test of its own: one that does not load says why, and the others
 * run. Where TEST_PROGRESS names a file, a line is added to it for each that is over.
 */
export function runInTurn(files: readonly string[]): void {
  let tell = () => undefined as void
  /** The next file's test is queued behind those of this one. */
  const run = ([file, ...others]: readonly string[]) => {
    if (file === undefined) return
    void test(`${file} loads`, async () => {
      tell()
      const since = performance.now()
      tell = () => tellTime(file, performance.now() - since)
      try {
        await import(pathToFileURL(resolve(file)).href)
      } finally {
        run(others)
      }
    })
  }
  run(files)
  process.once('exit', () => tell())
}

function tellTime(file: string, ms: number) {
  const progress = process.env.TEST_PROGRESS
  if (progress !== undefined) appendFileSync(progress, `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}\n`)
}
