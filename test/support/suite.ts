import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildIfChanged } from './build.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
}

export interface SuiteOptions {
  /** Added to the environment of the tests. */
  readonly env?: Record<string, string>
  /** The Node to run them with; this one where left out. */
  readonly node?: string
  readonly coverage?: boolean
  /** What else must be there before the tests. */
  readonly first?: Promise<unknown>
}

/** What `.bin/tap` leads to, which is no JavaScript on every system. */
const tapBin = join('node_modules', 'tap', 'dist', 'esm', 'run.mjs')
/** tap's reporters draw with Ink, which leaves the failures out where it believes to be in CI. */
const outsideCI = { CI: 'false' }
/** tap with its plugins, made by `tap build`. */
const built = 'node_modules/@tapjs/test/test-built/dist/esm/index.js'

/**
 * Runs tap's test files and prints what failed in full, what they comment as a `figure: …`, and otherwise little.
 *
 * @param args file names and options of tap; none: all files
 */
export async function runSuite(args: string[], options: SuiteOptions = {}): Promise<Totals> {
  const { env = {}, node = process.execPath, coverage = false, first } = options
  const output = join(tmpdir(), `groundwork-suite-${process.pid}.tap`)
  const progress = process.stdout.isTTY ? undefined : `${output}.progress`
  const environment = {
    ...process.env,
    ...outsideCI,
    ...(progress !== undefined && { TEST_PROGRESS: progress }),
    ...env,
  }
  const run = async (...tapArgs: string[]) => {
    const stopPrinting = progress === undefined ? undefined : printWhatIsAddedTo(progress)
    try {
      return await exited(spawn(node, [tapBin, ...tapArgs], { stdio: 'inherit', env: environment }))
    } finally {
      stopPrinting?.()
    }
  }
  try {
    await Promise.all([isBuilt() || run('build'), first])
    buildIfChanged()
    const code = await run(
      `--reporter=${process.stdout.isTTY ? 'terse' : 'min'}`,
      `--output-file=${output}`,
      ...(coverage ? ['--coverage-report=none', '--test-env=TEST_FROM_SOURCE=true'] : ['--disable-coverage']),
      ...args,
    )
    if (!process.stdout.isTTY) console.log() // tap's reporter shows the cursor again, and ends no line
    const tap = existsSync(output) ? readFileSync(output, 'utf8') : ''
    for (const [, figure] of tap.matchAll(/^ *# figure: (.*)$/gm)) console.log(figure)
    const failures = failuresOf(tap)
    if (failures.length > 0) console.log(`\nFailed:\n${failures.slice(0, MOST_FAILURES).join('\n')}`)
    const totals = totalsOf(tap)
    return code === 0 ? totals : { ...totals, failed: Math.max(totals.failed, 1) }
  } finally {
    for (const file of [output, `${output}.progress`]) rmSync(file, { force: true })
  }
}

const MOST_FAILURES = 20

/** Where each failed assert stands, and what it says: what was printed in full is far above by the end of a run. */
function failuresOf(tap: string): string[] {
  const blocks = tap.matchAll(/^( *)not ok \d+ - (.*)\n\1 {2}---\n([^]*?)\n\1 {2}\.\.\.$/gm)
  const lines = [...blocks].flatMap(([, , name = '', about = '']) => {
    const [, file] = /fileName: (.*)/.exec(about) ?? []
    const [, line] = /lineNumber: (\d+)/.exec(about) ?? []
    return file === undefined ? [] : `  ${file}:${line}  ${name.split(' # ', 1)[0]}`
  })
  return [...new Set(lines)]
}

/** Prints a line for each test file that is over. @returns what stops it */
function printWhatIsAddedTo(file: string): () => void {
  let printed = 0
  const print = () => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    process.stdout.write(text.slice(printed))
    printed = text.length
  }
  const timer = setInterval(print, 500)
  return () => {
    clearInterval(timer)
    print()
  }
}

/** Prints the line that says how a run went, and sets the exit code. */
export function finish({ passed, failed }: Totals) {
  // On a line of its own: tap's reporter ends in the middle of one.
  console.log(`\n${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
}

/**
 * As published tap has the plugins that .taprc takes out; the first run after `npm ci` would notice that, build, and fail.
 * Later runs are spared the 5 s.
 */
const isBuilt = () => !/@tapjs\/(mock|typescript)/.test(readFileSync(built, 'utf8'))

/** The asserts of a run, from its last line but one: `# { total: 3, pass: 2, fail: 1 }`. */
function totalsOf(tap: string): Totals {
  const summary = [...tap.matchAll(/^# \{ total: .*\}$/gm)].at(-1)?.[0] ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') }
}

/** Waits for a child, which gets the signals meant for this process, so that it can end in good order. */
async function exited(child: ChildProcess): Promise<number> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  for (const signal of signals) process.on(signal, forward)
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  } finally {
    for (const signal of signals) process.off(signal, forward)
  }
}
