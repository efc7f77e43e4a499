import { chosenTests } from './support/groups.ts'
import { startPgbouncer } from './support/pgbouncer.ts'
import { startPostgres } from './support/postgres.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm run test:pgbouncer`: fault 37, the suite through PgBouncer in transaction mode; migrations go past it. */

const server = await startPostgres()
const pooler = await startPgbouncer(server.url)
console.log(`Through PgBouncer ${pooler.version}, on PostgreSQL ${server.version}`)
try {
  const env = { TEST_DATABASE_URL: server.url, TEST_POOLER_URL: pooler.url }
  const totals = await runSuite(chosenTests(process.argv.slice(2), 'database'), { env })
  const { queries, databases } = await pooler.statistics()
  console.log(`${queries} queries of ${databases} databases went through PgBouncer`)
  finish(queries > 0 ? totals : { ...totals, failed: totals.failed + 1 })
} finally {
  await pooler.stop()
  await server.stop()
}
