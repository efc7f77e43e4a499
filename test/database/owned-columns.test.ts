import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import {
  type PgColumnBuilderBase,
  type PgTable,
  bigint,
  boolean,
  customType,
  date,
  integer,
  interval,
  jsonb,
  numeric,
  pgTable,
  point,
  real,
  smallint,
  text,
  time,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'
import { test } from 'tap'
import { conceal, ownedTable } from '../../src/ownership/owned-table.ts'
import { ownedRows } from '../../src/ownership/owned.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound } from '../support/papers.ts'
import { createTables } from '../support/tables.ts'

/** A table as somebody may declare it for their own resource, with columns of every kind. */
const table = pgTable('test_things', {
  id: uuid().primaryKey().defaultRandom(),
  data: jsonb(),
  due: timestamp({ withTimezone: true }),
  number: integer().notNull().default(7),
  tags: text().array(),
  owner_id: uuid().notNull(),
  created_at: timestamp({ withTimezone: true }).notNull().defaultNow(),
})
const fields = ['data', 'due', 'number', 'tags'] as const
const things = conceal<typeof table.$inferSelect, Record<string, unknown>, 'created_at'>(table, {
  fields,
  search: [],
  notFound: PaperNotFound,
})

void test('an owned table may have columns of any type, and defaults', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await db.execute(sql`
    create table test_things (
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

const cents = customType<{ data: bigint; driverData: string }>({
  dataType: () => 'numeric',
  fromDriver: (text) => BigInt(Math.round(Number(text) * 100)),
  toDriver: (value) => String(Number(value) / 100),
})
const moment = customType<{ data: string; driverData: string }>({
  dataType: () => 'timestamptz',
  fromDriver: (text) => `at ${text}`,
})
const bytes = customType<{ data: string; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  fromDriver: (value) => Buffer.from(value).toString('hex'),
})

const tz = { withTimezone: true } as const
const MOMENT = `'2026-01-02 03:04:05.678901+02'`
const WALL = `'2026-01-02 03:04:05.678901'`

/** A column of each kind, and a value of it in SQL. */
const kinds: Record<string, [column: PgColumnBuilderBase, literal: string]> = {
  moment: [timestamp(tz), MOMENT],
  momentText: [timestamp({ ...tz, mode: 'string' }), MOMENT],
  moments: [timestamp(tz).array(), `'{2026-01-02 03:04:05.678901+02}'`],
  ownMoment: [moment(), MOMENT],
  wall: [timestamp(), WALL],
  wallText: [timestamp({ mode: 'string' }), WALL],
  day: [date(), `'2026-01-02'`],
  dayDate: [date({ mode: 'date' }), `'2026-01-02'`],
  days: [date().array(), `'{2026-01-02,2026-01-03}'`],
  clock: [time(), `'03:04:05.678901'`],
  span: [interval(), `'1 year 2 days 03:04:05'`],
  numbers: [integer().array(), `'{1,2}'`],
  words: [text().array(), `'{a,"{b,\\"c\\"}"}'`],
  exact: [numeric({ precision: 30, scale: 10 }), `'12345678901234567890.0123456789'`],
  exactNumber: [numeric({ mode: 'number' }), `'0.1'`],
  large: [bigint({ mode: 'bigint' }), `'9223372036854775807'`],
  largeNumber: [bigint({ mode: 'number' }), `'9007199254740991'`],
  small: [smallint(), `'7'`],
  rough: [real(), `'0.5'`],
  yes: [boolean(), `true`],
  data: [jsonb(), `'{"x": [1, null, "2026-01-02"]}'`],
  place: [point(), `'(1,2.5)'`],
  cents: [cents(), `'1234.56'`],
  bytes: [bytes(), `'\\x00ff'`],
  renamed: [integer('another name'), `'1'`],
}

void test('columns of any type are read as Drizzle reads them', async (t) => {
  const fields = Object.fromEntries(Object.entries(kinds).map(([name, [column]]) => [name, column]))
  const literals = Object.values(kinds).map(([, literal]) => literal)
  const table = ownedTable('kinds', fields, { notFound: PaperNotFound })
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await createTables(db, { table })
  const me = { id: randomUUID(), is_superuser: false }
  await db.execute(
    sql`insert into users (id, email, hashed_password) values (${me.id}, 'ada@example.com', '')`,
  )
  await db.execute(
    sql`insert into kinds select gen_random_uuid(), ${sql.raw(literals.join())}, ${me.id}::uuid, now()`,
  )
  const rows = ownedRows(db, table)
  const [expected] = await db.select().from(table as unknown as PgTable)
  const { id } = expected as { id: string }
  t.same((await rows.get(me, id)).row, expected, 'a row')
  t.match((await rows.page(me, { limit: 5 })).data, [expected], 'a page')
  t.same((await rows.update(me, id, { yes: true })).row, expected, 'a row that was changed')

  const { row: empty } = await rows.create(me, {})
  for (const name of Object.keys(kinds)) t.equal(empty[name], null, `${name} is null`)
})
