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
  for (const file of files)
    void test(`${file} loads`, () => {
      tell()
      const since = performance.now()
      tell = () => tellTime(file, performance.now() - since)
      return import(pathToFileURL(resolve(file)).href)
    })
  process.once('exit', () => tell())
}

function tellTime(file: string, ms: number) {
  const progress = process.env.TEST_PROGRESS
  if (progress !== undefined) appendFileSync(progress, `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}\n`)
}
