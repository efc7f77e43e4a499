import { startPostgres } from './support/postgres.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm run test:postgres`: the suite, and the races, on a throwaway PostgreSQL. */

const server = await startPostgres()
console.log(`On PostgreSQL ${server.version}`)
try {
  finish(await runSuite(process.argv.slice(2), { env: { TEST_DATABASE_URL: server.url } }))
} finally {
  await server.stop()
}
