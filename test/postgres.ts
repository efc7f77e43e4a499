import { chosenTests } from './support/groups.ts'
import { coverageSuffices } from './support/coverage.ts'
import { startPostgres } from './support/postgres.ts'
import { finish, runSuite } from './support/suite.ts'

/**
 * `npm run test:postgres`: the suite, and the races, on a throwaway PostgreSQL. With all files its coverage has to
 * suffice: here everything is run but the embedded database, which other files than its own do not know of.
 */

const files = process.argv.slice(2)
const whole = files.length === 0
const server = await startPostgres()
console.log(`On PostgreSQL ${server.version}`)
try {
  const totals = await runSuite(chosenTests(files), {
    env: { TEST_DATABASE_URL: server.url },
    coverage: whole,
  })
  const suffices = !whole || (await coverageSuffices())
  finish(suffices ? totals : { ...totals, failed: totals.failed + 1 })
} finally {
  await server.stop()
}
