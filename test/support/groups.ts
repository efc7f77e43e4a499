import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'

/**
 * The files of the suite, several a process: starting Node, the service and its database costs more than most of them
 * take. Each still has a database of its own, and runs by itself where it is named.
 */

const FOLDER = 'test/.groups'
const GROUPS = 3
/** They wait more than they work: alone, and the first, so that others use the cores meanwhile. */
const WAITING = /processes\/(stops|kills|start)/
/** Alone as well: they look at what a process loads or holds, or take long. */
const ALONE = /plugins\/(tracing|metrics)|secrets|auth\/limits/

/**
 * @param named what is to be run; none: the whole suite
 * @returns what tap is to run
 */
export const chosenTests = (named: string[]): string[] => (named.length > 0 ? named : groupedTests())

function groupedTests(): string[] {
  const files = testFiles()
  const waiting = files.filter((file) => WAITING.test(file))
  const alone = files.filter((file) => ALONE.test(file))
  const together = files.filter((file) => !waiting.includes(file) && !alone.includes(file))
  // Neighbours take about as long: dealt out, groups do too.
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    together.filter((_, at) => at % GROUPS === group),
  )
  const inOrder = [waiting.map((file) => [file]), groups, alone.map((file) => [file])].flat()
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  return inOrder.map(write)
}

/** As .taprc has it. */
const ELSEWHERE = /^(clients|browser|faults|bench|\.groups)\//

const testFiles = () =>
  readdirSync('test', { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.test.ts') && !ELSEWHERE.test(file))
    .map((file) => join('test', file))
    .toSorted()

/** tap runs files by their names. */
function write(files: readonly string[], at: number): string {
  const [only, ...others] = files
  const name = others.length > 0 ? 'several' : basename(only!, '.test.ts')
  const group = join(FOLDER, `${String(at + 1).padStart(2, '0')}-${name}.test.mjs`)
  const imports = files.map((file) => `import './${relative(FOLDER, file)}'\n`)
  writeFileSync(group, imports.join(''))
  return group
}
