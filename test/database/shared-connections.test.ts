import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { statement } from '../../src/database/statement.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'

/** Connections for short statements; two of ten are for long ones. */
const SIZE = 8
const POOL_SIZE = 10

void test('concurrent statements do not wait for a slow one', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const pool = connectPostgres({ url, migrationUrl: url, poolSize: POOL_SIZE, timeoutMs: 5_000 })
  t.teardown(async () => {
    await pool.close()
    await dropDatabase(server, url)
  })
  const slow = statement('slow', () => sql`select 1 as one, pg_sleep(1)`)
  const quick = statement('quick', () => sql`select 1 as one`)
  await Promise.all(Array.from({ length: SIZE * 8 }, () => pool.db.run(quick, {}))) // opens all connections
  for (let round = 0; round < 2; round++) {
    let isSlowOver = false
    const late = pool.db.run(slow, {}).then(() => (isSlowOver = true))
    await Promise.all(Array.from({ length: SIZE - 1 }, () => pool.db.run(quick, {})))
    t.equal(isSlowOver, false)
    await late
  }
})
