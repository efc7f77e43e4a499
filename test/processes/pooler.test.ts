import { existsSync } from 'node:fs'
import { type Test, test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { mayBePooled, poolerDoubt } from '../../src/operations/pooler.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { production } from '../support/environments.ts'
import {
  OLD_PGBOUNCER,
  type Pgbouncer,
  needsPgbouncer,
  startOldPgbouncer,
  startPgbouncer,
} from '../support/pgbouncer.ts'
import { databaseEnv, start, temporaryFolder } from '../support/process.ts'

const server = process.env.TEST_DATABASE_URL!
const FIX = /keeps no prepared statements.*max_prepared_statements = 200 in PgBouncer 1\.21 or later/

/** A database, directly and through a pooler. */
async function throughPooler(t: Test, opening: Promise<Pgbouncer>) {
  const [direct, pooler] = await Promise.all([createDatabase(server), opening])
  t.teardown(async () => {
    await pooler.stop()
    await dropDatabase(server, direct)
  })
  return { direct, pooled: Object.assign(new URL(direct), { host: new URL(pooler.url).host }).href }
}

const configOf = (DATABASE_URL: string, MIGRATION_DATABASE_URL?: string) =>
  readConfig({
    ...production,
    DATABASE_URL,
    DATABASE_TIMEOUT_MS: '5000', // the machine may be busy with other tests
    ...(MIGRATION_DATABASE_URL !== undefined && { MIGRATION_DATABASE_URL }),
  })

void test('a start through a pooler that loses prepared statements warns', needsPgbouncer, async (t) => {
  const lossy = startPgbouncer(server, { max_prepared_statements: '0' })
  const { direct, pooled } = await throughPooler(t, lossy)
  const env = { ...(await databaseEnv(t)), DATABASE_URL: pooled, MIGRATION_DATABASE_URL: direct }
  const running = await start(t, { folder: temporaryFolder(t), env: { ...env, ENVIRONMENT: 'local' } })
  await running.printed('max_prepared_statements')
  t.match(running.output(), FIX)
  t.match(running.output(), /WARN.*keeps no prepared statements/)
})

for (const [what, settings, told] of [
  ['in transaction mode without max_prepared_statements', { max_prepared_statements: '0' }, FIX],
  ['in session mode', { max_prepared_statements: '0', pool_mode: 'session' }, undefined],
  ['that keeps prepared statements', {}, undefined],
  ['with one connection, of which nothing can be found out', { default_pool_size: '1' }, undefined],
] as const)
  void test(`a start warns only of lost prepared statements: a pooler ${what}`, needsPgbouncer, async (t) => {
    const { direct, pooled } = await throughPooler(t, startPgbouncer(server, settings))
    t.match(await poolerDoubt(configOf(pooled, direct)), told)
  })

void test(
  'a pooler that loses prepared statements is found also where DATABASE_URL alone is set',
  needsPgbouncer,
  async (t) => {
    const { pooled } = await throughPooler(t, startPgbouncer(server, { max_prepared_statements: '0' }))
    t.match(await poolerDoubt(configOf(pooled)), FIX)
  },
)

void test(
  'a start warns of PgBouncer before 1.21',
  { skip: needsPgbouncer.skip || (!existsSync(OLD_PGBOUNCER) && 'needs the one of .ci/pgbouncer') },
  async (t) => {
    const { direct, pooled } = await throughPooler(t, startOldPgbouncer(server))
    t.match(await poolerDoubt(configOf(pooled, direct)), FIX)
  },
)

void test('a direct connection is not taken for a pooler', needsPostgres, async (t) => {
  const direct = await createDatabase(server)
  t.teardown(() => dropDatabase(server, direct))
  t.equal(await mayBePooled(configOf(direct)), false)
})
