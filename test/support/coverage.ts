import { readFile, readdir, writeFile } from 'node:fs/promises'
import { Report } from 'c8'

/** Percent of the lines and of the branches of src that the whole suite has to run. */
const REQUIRED = 95

const raw = '.tap/coverage'
const reports = '.tap/report'

/**
 * Measures how much of src the last run of tap covered, its child processes included, and prints what is missing where
 * that is too little. A file that no test loads counts as uncovered.
 *
 * Not counted, as their positions can't be mapped back to src: what ran from dist/, and what ran under tsx (it is what
 * has a source map). tap's own threshold is all or nothing, hence c8.
 *
 * @returns whether it is enough
 */
export async function coverageSuffices(): Promise<boolean> {
  await dropTranspiled()
  await report('json-summary')
  const { total } = JSON.parse(await readFile(`${reports}/coverage-summary.json`, 'utf8')) as Summary
  const suffices = total.lines.pct >= REQUIRED && total.branches.pct >= REQUIRED
  if (!suffices) await report('text')
  console.log(
    `Coverage: ${total.lines.pct} % of lines, ${total.branches.pct} % of branches; ${REQUIRED} % are required`,
  )
  return suffices
}

interface Summary {
  total: Record<'lines' | 'branches', { pct: number }>
}

interface ProcessCoverage {
  result: { url: string }[]
  'source-map-cache'?: Record<string, unknown>
}

const report = (reporter: string) =>
  new Report({
    reporter: [reporter],
    tempDirectory: raw,
    reportsDirectory: reports,
    include: 'src/**',
    all: true,
    skipFull: true,
  }).run()

/** c8 adds the counts of all processes up by position, so one text of each file may be among them. */
async function dropTranspiled() {
  for (const name of await readdir(raw)) {
    const coverage = JSON.parse(await readFile(`${raw}/${name}`, 'utf8')) as ProcessCoverage
    const { result, 'source-map-cache': maps = {} } = coverage
    await writeFile(`${raw}/${name}`, JSON.stringify({ result: result.filter(({ url }) => !(url in maps)) }))
  }
}
