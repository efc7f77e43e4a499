import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { ownedRows } from '../../src/ownership/owned.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { statement } from '../../src/database/statement.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { createPapers, papers } from '../support/papers.ts'

/** Custom plans that PostgreSQL makes before it considers a generic one. */
const PLANNED_ANEW = 5
const TIMES = 12

/** Runs as a short statement: prepared statements are visible on their own connection only. */
const readPlans = statement<object, { custom_plans: string; generic_plans: string }>(
  'read plans of pages',
  () => sql`select custom_plans, generic_plans from pg_prepared_statements where statement like '%as first%'`,
)

void test('pages of a large table use a cached plan after five executions', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  // One connection, which sees all prepared statements.
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 1, timeoutMs: 20_000 })
  t.teardown(async () => {
    await connection.close()
    await dropDatabase(server, url)
  })
  const { db } = connection
  await connection.migrate()
  await createPapers(db)
  await db.execute(sql`
    insert into users (email, hashed_password) select 'user' || n || '@example.com', '' from generate_series(1, 100) n`)
  await db.execute(sql`
    insert into papers (title, owner_id, created_at)
    select 'Paper ' || n, owners.id, now() - n * interval '1 second'
    from generate_series(1, 100000) n
    join (select id, row_number() over () - 1 as place from users) owners on owners.place = n % 100`)
  await db.execute(sql`analyze`)
  const [owner] = (await db.execute(sql`select id from users limit 1`)) as { id: string }[]

  const rows = ownedRows(db, papers)
  for (const asker of [
    { id: owner!.id, is_superuser: false },
    { id: owner!.id, is_superuser: true },
  ]) {
    const { next_cursor: cursor } = await rows.page(asker, { limit: 20 })
    for (let n = 0; n < TIMES; n += 1) {
      await rows.page(asker, { limit: 20 })
      await rows.page(asker, { limit: 20, cursor: cursor! })
    }
  }
  const statements = await db.run(readPlans, {})
  t.equal(statements.length, 4)
  for (const { custom_plans, generic_plans } of statements) {
    t.equal(Number(custom_plans), PLANNED_ANEW)
    t.ok(Number(generic_plans) >= TIMES - PLANNED_ANEW)
  }
})
