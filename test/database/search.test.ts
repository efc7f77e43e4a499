import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { pgTable, text, timestamp, uuid, varchar } from 'drizzle-orm/pg-core'
import { test } from 'tap'
import type { Database } from '../../src/database/connect.ts'
import { type PageOf, type PageRequest, preparePages } from '../../src/ownership/list/page.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase, dropDatabase, freshDatabase, needsPostgres } from '../support/database.ts'
import { createPapers } from '../support/papers.ts'
import { type Person, startService } from '../support/service.ts'

const table = pgTable('test_books', {
  id: uuid().primaryKey().defaultRandom(),
  title: varchar({ length: 255 }).notNull(),
  note: text(),
  owner_id: uuid().notNull(),
  created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
})

interface Book {
  readonly id: string
  readonly title: string
  readonly note: string | null
  readonly created_at: Date
}

type Read = (request: PageRequest<'title' | 'created_at'>) => Promise<PageOf<Book>>

/** All pages, one after the other by their cursors. */
async function follow(read: Read, request: PageRequest<'title' | 'created_at'>) {
  const pages = [await read(request)]
  for (let cursor = pages[0]!.next_cursor; cursor !== null; cursor = pages.at(-1)!.next_cursor)
    pages.push(await read({ ...request, cursor }))
  return pages
}

void test('a search that may compare few rows a page still finds every row, in order', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const [ada, bob] = [randomUUID(), randomUUID()]
  await db.execute(sql`
    create table test_books (
      id uuid primary key default gen_random_uuid(), title varchar(255) not null, note text,
      owner_id uuid not null, created_at timestamptz(3) not null default now()
    )`)
  await db.execute(sql`create index on test_books (created_at, id)`)
  await db.execute(sql`select create_search_index('test_books', 'title', 'note')`)
  // Every row has an e; few a zq, all among the oldest; one in 500 a needle.
  await db.execute(sql`
    insert into test_books (title, note, owner_id, created_at)
    select 'Title ' || n % 700, case when n % 500 = 0 then 'A Needle' when n > 4950 then 'zq' end,
      (array[${ada}, ${bob}]::uuid[])[1 + n % 2], '2026-01-01'::timestamptz - n * interval '1 minute'
    from generate_series(1, 5000) n`)
  await db.execute(sql`analyze test_books`)
  const all: Read = preparePages<Book, 'title' | 'created_at'>(db, table, {
    search: ['title', 'note'],
    bounds: { rows: 1000, bytes: 1e9 },
  })
  const whole: Read = preparePages<Book, 'title' | 'created_at'>(db, table, { search: ['title', 'note'] })
  const ids = (pages: PageOf<Book>[]) => pages.flatMap(({ data }) => data.map(({ id }) => id))

  for (const [q, sort] of [
    ['zq', '-created_at'],
    ['zq', 'title'],
    ['e', '-title'],
    ['le 12', 'created_at'],
    ['nothing has this', 'title'],
    ['qx', '-created_at'],
  ] as const) {
    const expected = await whole({ q, sort, limit: 1000 })
    const found = await follow(all, { q, sort, limit: 300 })
    const first = ids(found).slice(0, 1000)
    t.same(first, ids([expected]), `${q} by ${sort}: the same rows in the same order`)
    t.equal(new Set(ids(found)).size, ids(found).length, 'each once')
    t.equal(ids(found).length, expected.count, 'none is lost')
    t.ok(found.every(({ count, data }) => count >= data.length))
  }
  const [first] = await follow(all, { q: 'zq', limit: 10 })
  t.same(first!.data, [], 'a page may end early')
  t.type(first!.next_cursor, 'string', 'and says where to go on')

  const needles = await all({ q: 'NEEDLE', limit: 3 })
  t.equal(needles.count, 10, 'what few rows have is counted')
  t.match(needles.data[0], { note: 'A Needle', created_at: Date })

  const mine = preparePages<Book>(db, table, {
    search: ['title'],
    where: sql`${table.owner_id} = ${sql.placeholder('asker')}`,
  })
  t.equal((await mine({ q: 'e', limit: 5 }, { asker: ada })).count, 2500, 'and one’s own rows are')
  t.equal((await mine({ q: 'e', limit: 5, skip: 3000 }, { asker: ada })).count, 2500, 'past the end too')
})

/** Creates the indexes after the rows, which is faster. */
async function fill(db: Database, owner: string) {
  await db.execute(sql`set maintenance_work_mem = '256MB'`)
  const answer: unknown = await db.execute(sql`
    select indexname as name, indexdef as definition from pg_indexes
    where tablename in ('papers', 'users') and indexname not like '%pkey' and indexname not like '%email_unique'`)
  const indexes = answer as { name: string; definition: string }[]
  for (const { name } of indexes) await db.execute(sql`drop index ${sql.identifier(name)}`)
  await db.execute(sql`
    insert into users (email, full_name, hashed_password, created_at)
    select 'user' || n || '@example.com', 'Name of ' || n, '', now() - n * interval '1 second'
    from generate_series(1, 500000) n`)
  await db.execute(sql`
    insert into papers (title, description, owner_id, created_at)
    select 'Paper ' || n, 'Notes on the engine ' || left(md5(n::text), 8), ${owner}, now() - n * interval '1 second'
    from generate_series(1, 1000000) n`)
  for (const { definition } of indexes) await db.execute(sql.raw(definition))
  await db.execute(sql`vacuum analyze papers, users`)
}

void test('every search of a million rows is answered with 200', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const patient = connectPostgres({ url, migrationUrl: url, poolSize: 1, timeoutMs: 600_000 })
  await patient.migrate()
  await createPapers(patient.db)
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 4 })
  const service = await startService(
    t,
    {},
    {
      connection: {
        ...connection,
        async close() {
          await Promise.all([connection.close(), patient.close()])
          await dropDatabase(server, url)
        },
      },
    },
  )
  const { admin, call } = service
  const owner = await service.person()
  await fill(patient.db, owner.id)

  let slowest = 0
  const search = async (path: string, query: Record<string, string>, as: Person) => {
    const since = performance.now()
    const answer = await call('GET', `${path}?${new URLSearchParams(query).toString()}`, { as })
    slowest = Math.max(slowest, performance.now() - since)
    t.equal(answer.status, 200, `${path} ${JSON.stringify(query)} as ${as === admin ? 'superuser' : 'owner'}`)
    return answer.body as { data: { title: string }[]; count: number; next_cursor: string | null }
  }
  const sought = [
    'e',
    '%',
    ' ',
    'it',
    'zq',
    'ü',
    'paper',
    'notes on the engine',
    'paper 99',
    'abcd',
    'no such text',
  ]
  for (const q of sought)
    for (const sort of ['-created_at', 'title'])
      for (const as of [admin, owner]) await search('/papers/', { q, sort }, as)
  for (const q of ['e', '@', 'us', 'zq', 'example.com', 'name of', '1234', 'nobody'])
    for (const sort of ['-created_at', 'email', 'full_name']) await search('/users/', { q, sort }, admin)
  t.comment(`figure: the slowest of the searches of a million rows took ${Math.round(slowest)} ms`)

  for (const as of [admin, owner]) {
    const few = await search('/papers/', { q: 'PAPER 99999', limit: '3', sort: 'title' }, as)
    t.equal(few.count, 11, 'what few rows have is counted exactly')
    t.same(
      few.data.map(({ title }) => title),
      ['Paper 99999', 'Paper 999990', 'Paper 999991'],
    )
    const many = await search('/papers/', { q: 'notes on', limit: '3' }, as)
    t.equal(many.data.length, 3, 'what most have fills its page')
    t.ok(many.count > 800_000, `and is estimated: ${many.count}`)
    const past = await search('/papers/', { q: 'notes on', limit: '3', cursor: many.next_cursor! }, as)
    t.same(
      past.data.map(({ title }) => title),
      ['Paper 4', 'Paper 5', 'Paper 6'],
    )
  }
})
