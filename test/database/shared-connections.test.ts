import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'

const SIZE = 10

void test('statements that are sent at once do not wait for one that is slow', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const pool = connectPostgres({ url, migrationUrl: url, poolSize: SIZE, timeoutMs: 5_000 })
  t.teardown(async () => {
    await pool.close()
    await dropDatabase(server, url)
  })
  const one = { one: sql<number>`one`.as('one') }
  const slow = pool.db
    .select(one)
    .from(sql`(select 1 as one, pg_sleep(1)) as slow`)
    .prepare('slow')
  const quick = pool.db
    .select(one)
    .from(sql`(select 1 as one) as quick`)
    .prepare('quick')
  await Promise.all(Array.from({ length: SIZE * 8 }, () => quick.execute())) // all connections are made
  for (let round = 0; round < 2; round++) {
    let isSlowOver = false
    const late = slow.execute().then(() => (isSlowOver = true))
    await Promise.all(Array.from({ length: SIZE - 1 }, () => quick.execute()))
    t.equal(isSlowOver, false)
    await late
  }
})
