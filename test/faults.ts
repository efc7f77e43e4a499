import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { finish, runSuite } from './support/suite.ts'

/**
 * `npm run test:faults`: what breaks underneath (faults 27 to 33), played against processes of the built service, a
 * PostgreSQL and a mail server of their own. FAULT_ROUNDS says how often the random ones are played. Faults 34 to 36
 * are in test/processes, and 37 is `npm run test:pgbouncer`.
 */

const folder = join('test', 'faults')
const named = process.argv.slice(2)
const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'))

finish(
  await runSuite([
    // One after another: what is measured is time.
    '--jobs=1',
    '--timeout=600',
    '--exclude=nothing',
    ...(named.length > 0 ? named : files.map((name) => join(folder, name))),
  ]),
)
