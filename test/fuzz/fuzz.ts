import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Built, withBuilt } from '../support/built.ts'
import { finish } from '../support/suite.ts'
import { isCI, missing, pythonPackages } from '../support/tools.ts'

/**
 * `npm run test:fuzz`: Schemathesis sends the built service, on PostgreSQL, what its document allows and what it does
 * not (faults 15 and 16), as superuser, as user, and as nobody. Each has a service and a database of its own, so
 * that none ends the other's account.
 */

const ROLES = ['superuser', 'user', 'nobody']
const EXAMPLES = '200'
const here = resolve('test/fuzz')
const PROGRAM = ['-m', 'schemathesis.cli', '--config-file', join(here, 'schemathesis.toml')]
const reports = mkdtempSync(join(tmpdir(), 'groundwork-fuzz-'))

/** What is read of Schemathesis' report. */
interface Report {
  readonly complete: boolean
  readonly running_time: number
  readonly operations: { readonly total: number; readonly tested: number; readonly skipped: number }
  readonly phases: Readonly<Record<string, { readonly status: string }>>
  readonly test_cases: {
    readonly generated: number
    readonly unique_failures: number
    readonly errored: number
  }
}

/** @returns the report, or undefined where a failure was found; it is printed then */
async function fuzz(role: string, { url }: Built, packages: string): Promise<Report | undefined> {
  const report = join(reports, `${role}.json`)
  const options = ['--checks', 'all', '--max-examples', EXAMPLES, '--report-json-path', report]
  const child = spawn(
    'python3',
    [...PROGRAM, 'run', `${url}/api/v1/openapi.json`, ...options, ...process.argv.slice(2)],
    {
      cwd: reports,
      env: {
        ...process.env,
        PYTHONPATH: [packages, here].join(delimiter),
        PYTHONDONTWRITEBYTECODE: '1',
        SCHEMATHESIS_HOOKS: 'hooks',
        FUZZ_URL: url,
        FUZZ_ROLE: role,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code === 0) return JSON.parse(readFileSync(report, 'utf8')) as Report
  console.log(`${out}${err}`)
  return undefined
}

function isWhole({ complete, operations, phases, test_cases }: Report): boolean {
  const skipped = Object.values(phases).some(({ status }) => status !== 'success')
  const all = operations.tested === operations.total && operations.skipped === 0
  return complete && all && !skipped && test_cases.errored === 0 && test_cases.unique_failures === 0
}

function tell(role: string, report: Report | undefined): { passed: number; failed: number } {
  if (!report || !isWhole(report)) return { passed: 0, failed: 1 }
  const { operations, phases, test_cases, running_time } = report
  console.log(
    `${role}: ${operations.tested} operations, ${Object.keys(phases).join(', ')}, all checks, ` +
      `${test_cases.generated} examples, ${running_time.toFixed(0)} s`,
  )
  return { passed: test_cases.generated, failed: 0 }
}

const absent = missing(['python3'])
if (absent.length > 0) {
  console.log(`Not fuzzed: there is no ${absent.join(', ')}`)
  process.exitCode = isCI ? 1 : 0
} else {
  const packages = pythonPackages(join(here, 'requirements.txt'))
  const totals = await withBuilt(ROLES.length, async (services) =>
    Promise.all(ROLES.map(async (role, index) => tell(role, await fuzz(role, services[index]!, packages)))),
  ).finally(() => rmSync(reports, { recursive: true, force: true }))
  const sum = (key: 'passed' | 'failed') => totals.reduce((total, one) => total + one[key], 0)
  finish({ passed: sum('passed'), failed: sum('failed') })
}
