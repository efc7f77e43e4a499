import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { test } from 'tap'
import type { Database } from '../../src/database/connect.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { value } from '../../src/database/statements.ts'
import { users } from '../../src/database/tables.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { createPapers, papers } from '../support/papers.ts'
import { reveal } from '../../src/database/owned-table.ts'

const { table } = reveal(papers)

/** What is selected in all the ways that the service selects. */
const selections = (db: Database) => ({
  beside: db
    .select({ id: users.id, email: users.email, full_name: users.full_name, created_at: users.created_at })
    .from(users)
    .where(eq(users.email, value('email')))
    .prepare('beside'),
  renamed: db
    .select({ who: users.id, since: users.created_at, is_long: sql<boolean>`length(email) > 5` })
    .from(users)
    .where(eq(users.email, value('email')))
    .prepare('renamed'),
  aliased: db
    .select({
      since: sql<Date>`${users.created_at}`.mapWith(users.created_at).as('since'),
      email: users.email,
    })
    .from(users)
    .where(eq(users.email, value('email')))
    .prepare('aliased'),
  joined: db
    .select({ email: users.email, paper: { id: table.id, created_at: table.created_at } })
    .from(users)
    .leftJoin(table, eq(table.owner_id, users.id))
    .where(eq(users.email, value('email')))
    .prepare('joined'),
  subquery(): Promise<unknown[]> {
    const page = db.select().from(users).orderBy(users.email).limit(value('limit')).as('page')
    return db
      .select({ id: page.id, is_active: page.is_active, created_at: page.created_at })
      .from(page)
      .prepare('subquery')
      .execute({ limit: 2 })
  },
  written: db
    .update(users)
    .set({ full_name: sql`${value('name')}` })
    .where(eq(users.email, value('email')))
    .returning({ full_name: users.full_name, created_at: users.created_at })
    .prepare('written'),
})

void test('prepared statements give what Drizzle itself would give', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const client = postgres(url, { max: 1, onnotice: () => undefined })
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 1 })
  t.teardown(async () => {
    await connection.close()
    await client.end({ timeout: 1 })
    await dropDatabase(server, url)
  })
  await connection.migrate()
  await createPapers(connection.db)
  await client`insert into users (email, hashed_password, full_name) values
    ('owner@example.com', '-', 'Owner'), ('nobody@example.com', '-', null)`
  await client`insert into papers (title, owner_id) select 'one', id from users where full_name = 'Owner'`

  const [ours, theirs] = [
    selections(connection.db),
    selections(Object.assign(drizzle(client), { run: connection.db.run })),
  ]
  for (const email of ['owner@example.com', 'nobody@example.com', 'unknown@example.com'])
    for (const name of ['beside', 'renamed', 'aliased', 'joined', 'written'] as const) {
      const values = { email, name: `named by ${email}` }
      const rows = await ours[name].execute(values)
      t.strictSame([...rows], [...(await theirs[name].execute(values))], `${name} of ${email}`)
      t.equal(rows.length, email.startsWith('unknown') ? 0 : 1)
    }
  t.strictSame(await ours.subquery(), await theirs.subquery())
  await t.rejects(ours.beside.execute({}), /email/, 'a value that is not given is a fault, and no null')
})
