import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'

/**
 * The files of the suite, several a process: starting Node, the service and its database costs more than most of them
 * take. Each still has a database of its own, and runs by itself where it is named.
 */

/** Of this process alone: others may run other tests meanwhile. */
const FOLDER = join('test', '.groups', String(process.pid))
const GROUPS = 3
/** Processes that are started, stopped and killed: a script of their own (`npm run test:processes`). */
const PROCESSES = /test[/\\]processes[/\\]/
/**
 * Attacks that are tried to their end, passwords that are really hashed, tables of many rows, every field and filter, and what
 * needs a process of its own (`npm run test:long`).
 */
const LONG =
  /accounts[/\\](bearer|chosen|common|first|hashing|hoarded|import|limits|one-time|other|passwords|revocation|sign-in-alike|verification)|http[/\\](bodies|deadline|ending|hostile|metrics|throttle|tracing)|mail[/\\](bounds|outbox|slow|transport)|database[/\\](list-counts|owned-fields|private|quota|removal|statements)|resources[/\\](addresses|declared|docs-of|pages|path)|test[/\\](email-address|log-secrets|release|scripts|secrets)/
/** They ask no database, so that a pooler before it is no matter to them. */
const WITHOUT_DATABASE =
  /http[/\\](bodies|deadline|ending|throttle)|test[/\\](config|docs|email|env|log-secrets|network|openapi|release|scripts|supply|version)[^/\\]*$/
/** They wait more than they work: alone, and the first, so that others use the cores meanwhile. */
const WAITING = /processes[/\\](stops|early-stops|kills|start)/
/** In a process of their own as well: they look at what it loads, holds or compiles, or take long. */
const ALONE = /http[/\\](tracing|metrics)|secrets|database[/\\]statements|accounts[/\\]limits/
/** What they measure is time by the clock: the last, in one process, while no other runs. `npm test` has hardly any of it. */
const MEASURING =
  /database[/\\](pool|search)\.|http[/\\](throttle|overload)|resources[/\\]health|accounts[/\\]login-flood|processes[/\\]away/

/** Which files are run where none is named. */
const parts = {
  all: () => true,
  short: (file: string) => !PROCESSES.test(file) && !LONG.test(file),
  long: (file: string) => LONG.test(file),
  processes: (file: string) => PROCESSES.test(file),
  /** What takes long is tried on one version of Node. */
  otherNode: (file: string) => !LONG.test(file),
  database: (file: string) => !WITHOUT_DATABASE.test(file),
}

export type Part = keyof typeof parts

/**
 * @param named files and folders that are to be run, and options of tap; none: those of `part`
 * @returns what tap is to run
 */
export function chosenTests(named: string[], part: Part = 'all'): string[] {
  mkdirSync(FOLDER, { recursive: true })
  process.once('exit', () => rmSync(FOLDER, { recursive: true, force: true }))
  if (named.length === 0) return groupedTests(part)
  const files = named.flatMap(filesOf)
  const options = named.filter((name) => filesOf(name).length === 0)
  const isMeasuring = (file: string) => MEASURING.test(file)
  return [
    ...options,
    ...writeAll(files.filter((file) => !isMeasuring(file)).map(alone), files.filter(isMeasuring).map(alone)),
  ]
}

/** Test files of that name or in that folder. */
function filesOf(name: string): string[] {
  const found = statSync(name, { throwIfNoEntry: false })
  if (found?.isDirectory()) return testFilesIn(name)
  return found && name.endsWith('.test.ts') ? [name] : []
}

function groupedTests(part: Part): string[] {
  const files = testFilesIn('test').filter((file) => !ELSEWHERE.test(posix(file)) && parts[part](file))
  const waiting = files.filter((file) => WAITING.test(file))
  const apart = files.filter((file) => ALONE.test(file))
  const measuring = part === 'short' ? [] : files.filter((file) => MEASURING.test(file))
  const others = new Set(files)
  for (const file of [...waiting, ...apart, ...measuring]) others.delete(file)
  // Neighbours take about as long: dealt out, groups do too.
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    [...others].filter((_, at) => at % GROUPS === group),
  )
  return writeAll([...waiting.map(alone), ...groups, ...apart.map(alone)], [measuring])
}

const alone = (file: string) => [file]

/**
 * @param side what tap may run side by side
 * @param serial what it runs after that, one after the other
 */
function writeAll(side: readonly string[][], serial: readonly string[][]): string[] {
  const first = side.filter((files) => files.length > 0)
  const written = [...first, ...serial.filter((files) => files.length > 0)].map(write)
  return [...written, ...written.slice(first.length).map((file) => `--serial=${file}`)]
}

/** As .taprc has it. */
const ELSEWHERE = /^test\/(clients|browser|faults|bench|\.groups)\//

const posix = (path: string) => path.split(sep).join('/')

const testFilesIn = (folder: string) =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(folder, file))
    .toSorted()

/** tap runs files by their names. */
function write(files: readonly string[], at: number): string {
  const [only, ...others] = files
  const name = others.length > 0 ? 'several' : basename(only!, '.test.ts')
  const group = join(FOLDER, `${String(at + 1).padStart(2, '0')}-${name}.test.mjs`)
  writeFileSync(group, groupOf(files, FOLDER))
  return group
}

/**
 * What tap runs for some test files.
 *
 * @param folder where it is written
 */
export function groupOf(files: readonly string[], folder: string): string {
  const from = posix(relative(folder, join('test', 'support', 'group.ts')))
  return `import { runInTurn } from '${from}'\n\nrunInTurn(${JSON.stringify(files.map(posix))})\n`
}
