import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Built, withBuilt } from '../support/built.ts'
import { type Totals, finish } from '../support/suite.ts'
import { isCI, missing, pythonPackages } from '../support/tools.ts'
import { tell } from './report.ts'

/**
 * `npm run test:fuzz`: Schemathesis sends the built service, on PostgreSQL, what its document allows and what it does
 * not (faults 15 and 16), as superuser, as user, and as nobody. Each has a service and a database of its own, so
 * that none ends the other's account.
 *
 * Each run is another: `npm run test:fuzz -- --seed …` is a run again, and any other option of Schemathesis may follow.
 */

const ROLES = ['superuser', 'user', 'nobody']
/** FUZZ_EXAMPLES; in the phase that makes up examples. A third of them are alike, as small ones are tried first. */
const EXAMPLES = process.env.FUZZ_EXAMPLES ?? '300'
const FEWEST = Math.floor((Number(EXAMPLES) * 2) / 3)
const here = resolve('test/fuzz')
const PROGRAM = ['-m', 'schemathesis.cli', '--config-file', join(here, 'schemathesis.toml')]
/** `--include-tag notes` and its like: chosen operations alone. */
const IS_PART = process.argv.some((arg) => arg.startsWith('--include-'))
const SEED = String(randomInt(2 ** 32))
const reports = mkdtempSync(join(tmpdir(), 'groundwork-fuzz-'))

/** Prints how it went, and all that Schemathesis says where it went wrong. */
async function fuzz(role: string, { url }: Built, packages: string): Promise<Totals> {
  const [report, figures] = [join(reports, `${role}.json`), join(reports, `${role}-figures.json`)]
  const what = ['run', `${url}/api/v1/openapi.json`, '--checks', 'all', '--report-json-path', report]
  const howMuch = ['--max-examples', EXAMPLES, '--seed', SEED, ...process.argv.slice(2)]
  const child = spawn('python3', [...PROGRAM, ...what, ...howMuch], {
    cwd: reports,
    env: {
      ...process.env,
      PYTHONPATH: [packages, here].join(delimiter),
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'hooks',
      FUZZ_URL: url,
      FUZZ_ROLE: role,
      FUZZ_FIGURES: figures,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) console.log(`✗ ${role}:\n${out}${err}`)
  // 1 is a failure that was found; anything else leaves no report.
  if (code !== 0 && code !== 1) return { passed: 0, failed: 1 }
  const { operations, wrong } = tell(role, { report, figures, isPart: IS_PART, fewest: FEWEST })
  for (const what of wrong) console.log(`  ✗ ${what}`)
  return { passed: wrong.length > 0 ? 0 : operations, failed: wrong.length + (code === 0 ? 0 : 1) }
}

const absent = missing(['python3'])
if (absent.length > 0) {
  console.log(`Not fuzzed: there is no ${absent.join(', ')}`)
  process.exitCode = isCI ? 1 : 0
} else {
  const packages = pythonPackages(join(here, 'requirements.txt'))
  const totals = await withBuilt(ROLES.length, (services) =>
    Promise.all(ROLES.map((role, index) => fuzz(role, services[index]!, packages))),
  ).finally(() => rmSync(reports, { recursive: true, force: true }))
  const sum = (key: keyof Totals) => totals.reduce((total, one) => total + one[key], 0)
  finish({ passed: sum('passed'), failed: sum('failed') })
}
