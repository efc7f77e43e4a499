import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { integer, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { test } from 'tap'
import { conceal } from '../../src/database/owned-table.ts'
import { ownedRows } from '../../src/ownership/owned.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound } from '../support/papers.ts'

/** A table as somebody may declare it for their own resource, with columns of every kind. */
const table = pgTable('things', {
  id: uuid().primaryKey().defaultRandom(),
  data: jsonb(),
  due: timestamp({ withTimezone: true }),
  number: integer().notNull().default(7),
  tags: text().array(),
  owner_id: uuid().notNull(),
  created_at: timestamp({ withTimezone: true }).notNull().defaultNow(),
})
const fields = ['data', 'due', 'number', 'tags'] as const
const things = conceal<typeof table.$inferSelect, (typeof fields)[number], 'created_at'>(table, {
  fields,
  search: [],
  notFound: PaperNotFound,
})

void test('an owned table may have columns of any type, and defaults', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await db.execute(sql`
    create table things (
      id uuid primary key default gen_random_uuid(), data jsonb, due timestamptz,
      number integer not null default 7, tags text[],
      owner_id uuid not null, created_at timestamptz not null default now()
    )`)
  const rows = ownedRows(db, things)
  const me = { id: randomUUID(), is_superuser: false }
  const due = new Date('2026-11-23T10:15:00Z')

  const { row: thing } = await rows.create(me, { data: { x: [1] }, due, tags: ['a', 'b'] })
  t.match(thing, { data: { x: [1] }, due, number: 7, tags: ['a', 'b'], owner_id: me.id })
  t.same((await rows.update(me, thing.id, { number: 9, due: null })).row, { ...thing, number: 9, due: null })
  t.same((await rows.update(me, thing.id, { data: [1, 2], tags: null })).row, {
    ...thing,
    number: 9,
    due: null,
    data: [1, 2],
    tags: null,
  })
  t.equal((await rows.page(me, { skip: 0, limit: 10 })).count, 1)

  await db.execute(
    sql`insert into users (id, email, hashed_password) values (${me.id}, 'ada@example.com', '')`,
  )
  const body = { data: { x: ['"', null] }, due, tags: ['a', '{b,"c"}'] }
  const once = await rows.create(me, body, 'key')
  t.match(once.row, { ...body, number: 7 })
  t.same(await rows.create(me, body, 'key'), once, 'and a repeat is answered in the same types')
  t.same(await rows.get(me, once.row.id), once, 'as reading is')
})
