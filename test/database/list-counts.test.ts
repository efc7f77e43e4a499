import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { boolean, pgTable, timestamp, uuid } from 'drizzle-orm/pg-core'
import { type Test, test } from 'tap'
import type { Database } from '../../src/database/connect.ts'
import { statements } from '../../src/database/statement.ts'
import { ownedRows } from '../../src/ownership/owned.ts'
import { preparePages } from '../../src/ownership/list/page.ts'
import { emptyDatabase, freshDatabase } from '../support/database.ts'
import { migrateUpTo } from '../support/migrate-up-to.ts'
import { papers } from '../support/papers.ts'

const table = pgTable('test_books', {
  id: uuid().primaryKey().defaultRandom(),
  is_hidden: boolean().notNull().default(false),
  created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
})

const add = (db: Database, many: number) =>
  db.execute(
    sql`insert into test_books (created_at) select now() - n * interval '1 s' from generate_series(1, ${many}::int) n`,
  )

async function databaseWithBooks(t: Test) {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await db.execute(sql`
    create table test_books (
      id uuid primary key default gen_random_uuid(), is_hidden boolean not null default false,
      created_at timestamptz(3) not null default now()
    )`)
  // Statistics change only where the test runs ANALYZE.
  await db.execute(sql`alter table test_books set (autovacuum_enabled = false)`)
  return db
}

void test('the count of a list of all rows is exact up to 100,000', async (t) => {
  const db = await databaseWithBooks(t)
  const read = preparePages(db, table)
  t.equal((await read({ limit: 1 })).count, 0)
  await add(db, 100_000)
  t.equal((await read({ limit: 1 })).count, 100_000, 'that PostgreSQL knows nothing of')
  await db.execute(sql`analyze test_books`)
  await db.execute(sql`delete from test_books where id = (select id from test_books limit 1)`)
  t.equal((await read({ limit: 1 })).count, 99_999, 'whatever PostgreSQL expects')
})

void test('the count of a list of all rows is estimated above 100,000, and never less than that', async (t) => {
  const db = await databaseWithBooks(t)
  const read = preparePages(db, table)
  await add(db, 100_010)
  t.equal((await read({ limit: 1 })).count, 100_000, 'before PostgreSQL has analyzed it')
  await add(db, 50_000)
  await db.execute(sql`analyze test_books`)
  t.equal((await read({ limit: 1 })).count, 150_010)
  await add(db, 100_000)
  await db.execute(sql`analyze test_books`)
  await add(db, 10)
  t.equal((await read({ limit: 1 })).count, 250_010)
  const past = await read({ limit: 1, skip: 300_000 })
  t.strictSame([past.data, past.count], [[], 250_010], 'past its end too')
})

void test('the count of a filtered list is exact, however many rows it has', async (t) => {
  const db = await databaseWithBooks(t)
  const read = preparePages(db, table, { where: eq(table.is_hidden, sql`false`) })
  await add(db, 200_000)
  await db.execute(sql`analyze test_books`)
  await add(db, 1)
  t.equal((await read({ limit: 1 })).count, 200_001)
})

void test('hidden rows are not counted', async (t) => {
  const db = await databaseWithBooks(t)
  const read = preparePages(db, table, { hidden: eq(table.is_hidden, sql`true`) })
  await add(db, 100_005)
  await db.execute(
    sql`update test_books set is_hidden = true where id in (select id from test_books order by created_at limit 10)`,
  )
  const { count, data } = await read({ limit: 1000 })
  t.equal(count, 99_995)
  t.equal(data.length, 1000)

  const { text } = statements.get('page of all test_books: -created_at nothing 1001')!
  const explain = sql.raw(`explain (analyze, format json) ${text.replace('$1', '1001')}`)
  const plan = JSON.stringify(await db.execute(explain))
  t.match(plan, 'Actual Loops')
  t.notMatch(plan, /Actual Loops[\\": ]+(?!1\b)[1-9]/, 'nothing is done once per row')
})

void test('papers of a deleted user are not counted', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const [ada, bob] = [randomUUID(), randomUUID()]
  await db.execute(
    sql`insert into users (id, email, hashed_password, deleted_at) values (${ada}, 'ada', '', null), (${bob}, 'bob', '', now())`,
  )
  await db.execute(
    sql`insert into papers (title, owner_id) values ('a', ${ada}), ('b', ${bob}), ('c', ${bob})`,
  )
  const rows = ownedRows(db, papers)
  t.equal((await rows.page({ id: ada, is_superuser: true }, { limit: 5 })).count, 1)
  t.equal((await rows.page({ id: ada, is_superuser: false }, { limit: 5 })).count, 1)
})

void test('an upgrade removes the triggers that counted rows', async (t) => {
  const connection = await emptyDatabase()
  t.teardown(connection.close)
  const { db } = connection
  await migrateUpTo(t, connection, '0008_one_time_tokens_without_slots')
  await db.execute(sql`create table counted_before (id integer)`)
  await db.execute(sql`select maintain_count('counted_before')`)
  await db.execute(sql`insert into counted_before values (1), (2)`)
  await connection.migrate()

  await db.execute(sql`insert into counted_before values (3)`)
  await db.execute(sql`insert into users (email, hashed_password) values ('ada@example.com', '')`)
  const [left] = await db
    .select({
      triggers: sql<number>`(select count(*) from pg_trigger where tgname like 'count%')::integer`,
      sum: sql<string | null>`(select sum(delta) from row_counts)`,
    })
    .from(sql`(values (1)) as one`)
  t.strictSame(left, { triggers: 0, sum: null }, 'where the version before finds no sum, it counts')
})
