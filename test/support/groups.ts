import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/**
 * The files of the suite, several a process: starting Node, the service and its database costs more than most of them
 * take. Each still has a database of its own, and runs by itself where it is named.
 */

const FOLDER = 'test/.groups'
const SIZE = 22
/** They look at what a process loads or holds, or start processes that take all the time there is. */
const ALONE = /processes\/(stops|kills|start)|plugins\/(tracing|metrics)|secrets|auth\/limits/
const SLOWEST = /(stops|kills|start|auth\/limits)\.test/

/** @returns what tap is to run */
export function groupedTests(): string[] {
  const files = testFiles()
  const alone = files.filter((file) => ALONE.test(file))
  const together = files.filter((file) => !ALONE.test(file))
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const count = Math.ceil(together.length / SIZE)
  const groups = Array.from({ length: count }, (_, group) =>
    write(
      join(FOLDER, `${group + 1}.test.mjs`),
      // Neighbours take about as long: dealt out, groups do too.
      together.filter((_, at) => at % count === group),
    ),
  )
  // Those that wait for processes begin: others use the cores meanwhile.
  return [
    ...alone.filter((file) => SLOWEST.test(file)),
    ...groups,
    ...alone.filter((file) => !SLOWEST.test(file)),
  ]
}

/** As .taprc has it. */
const ELSEWHERE = /^(clients|browser|faults|bench|\.groups)\//

const testFiles = () =>
  readdirSync('test', { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.test.ts') && !ELSEWHERE.test(file))
    .map((file) => join('test', file))
    .toSorted()

function write(group: string, files: string[]): string {
  const imports = files.map((file) => `import './${relative(FOLDER, file)}'\n`)
  writeFileSync(group, imports.join(''))
  return group
}
