import { readFileSync } from 'node:fs'

/** What is read of Schemathesis' own report. */
interface Report {
  readonly complete: boolean
  readonly seed: number
  readonly running_time: number
  readonly operations: Readonly<Record<'total' | 'selected' | 'tested' | 'skipped', number>>
  readonly phases: Readonly<Record<string, { readonly status: string }>>
  readonly test_cases: { readonly unique_failures: number; readonly errored: number }
}

/** What figures.py counted. */
interface Figures {
  readonly checks: number
  readonly operations: Readonly<Record<string, Sent>>
}
interface Sent {
  readonly hasInput: boolean
  readonly sent: number
  readonly distinct: number
}

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as unknown

interface Run {
  /** Files of Schemathesis' own report, and of what figures.py counted. */
  readonly report: string
  readonly figures: string
  /** Whether operations were chosen by an option. */
  readonly isPart: boolean
  /** Each operation that takes input is to be sent so many examples. */
  readonly fewest: number
}

/**
 * Says what a run was.
 *
 * @returns the operations that were tried, and why that is not enough, where it is not
 */
export function tell(role: string, { report: reportFile, figures, isPart, fewest }: Run) {
  const report = read(reportFile) as Report
  const { checks, operations } = read(figures) as Figures
  const all = Object.entries(operations)
  const withInput = all.filter(([, { hasInput }]) => hasInput)
  const others = all.filter(([, { hasInput }]) => !hasInput)
  console.log(
    `${role}: ${report.operations.tested} operations, ${Object.keys(report.phases).join(', ')}, ` +
      `${checks} checks, ${total(all)} examples, seed ${report.seed}, ${report.running_time.toFixed(0)} s`,
  )
  console.log(`  with input: ${spread(withInput)}`)
  console.log(`  without, so that few can differ: ${spread(others)}`)
  return {
    operations: report.operations.tested,
    wrong: [...gaps(report, isPart), ...withInput.flatMap((one) => tooFew(one, fewest))],
  }
}

type Named = [name: string, sent: Sent]

const total = (some: Named[]) => some.reduce((sum, [, { sent }]) => sum + sent, 0)

function spread(some: Named[]): string {
  const of = (key: 'sent' | 'distinct') => {
    const counts = some.map(([, sent]) => sent[key])
    const average = counts.reduce((sum, count) => sum + count, 0) / counts.length
    return `${Math.min(...counts)} at least, ${average.toFixed(0)} on average`
  }
  return `${some.length} operations, examples each: ${of('sent')}; different ones: ${of('distinct')}`
}

const tooFew = ([name, { sent }]: Named, fewest: number) =>
  sent < fewest ? [`${name} was sent ${sent} examples of ${fewest}`] : []

function gaps({ complete, operations, phases, test_cases }: Report, isPart: boolean): string[] {
  const wanted = isPart ? operations.selected : operations.total
  const undone = Object.entries(phases).filter(([, { status }]) => status !== 'success')
  return [
    ...(complete ? [] : ['the run was broken off']),
    ...(operations.tested < wanted || operations.skipped > 0 ? ['operations were left out'] : []),
    ...undone.map(([name, { status }]) => `the phase ${name}: ${status}`),
    ...(test_cases.errored > 0 ? [`${test_cases.errored} examples could not be tried`] : []),
    ...(test_cases.unique_failures > 0 ? [`${test_cases.unique_failures} failures`] : []),
  ]
}
