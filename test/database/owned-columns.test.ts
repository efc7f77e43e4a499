import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import {
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
import { conceal } from '../../src/database/owned-table.ts'
import { ownedTable } from '../../src/database/tables.ts'
import { ownedRows } from '../../src/ownership/owned.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound } from '../support/papers.ts'
import { createTables } from '../support/tables.ts'

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

const columns = {
  moment: timestamp({ withTimezone: true }),
  momentText: timestamp('moment_text', { withTimezone: true, mode: 'string' }),
  wall: timestamp(),
  wallText: timestamp('wall_text', { mode: 'string' }),
  day: date(),
  dayDate: date('day_date', { mode: 'date' }),
  clock: time(),
  span: interval(),
  days: date().array(),
  moments: timestamp({ withTimezone: true }).array(),
  numbers: integer().array(),
  words: text().array(),
  exact: numeric({ precision: 30, scale: 10 }),
  exactNumber: numeric('exact_number', { mode: 'number' }),
  large: bigint({ mode: 'bigint' }),
  largeNumber: bigint('large_number', { mode: 'number' }),
  small: smallint(),
  rough: real(),
  yes: boolean(),
  data: jsonb(),
  place: point(),
  cents: cents(),
  ownMoment: moment('own_moment'),
  bytes: bytes(),
}

const LITERALS = [
  `'2026-01-02 03:04:05.678901+02'`,
  `'2026-01-02 03:04:05.678901+02'`,
  `'2026-01-02 03:04:05.678901'`,
  `'2026-01-02 03:04:05.678901'`,
  `'2026-01-02'`,
  `'2026-01-02'`,
  `'03:04:05.678901'`,
  `'1 year 2 days 03:04:05'`,
  `'{2026-01-02,2026-01-03}'`,
  `'{2026-01-02 03:04:05.678901+02}'`,
  `'{1,2}'`,
  `'{a,"{b,\\"c\\"}"}'`,
  `'12345678901234567890.0123456789'`,
  `'0.1'`,
  `'9223372036854775807'`,
  `'9007199254740991'`,
  `'7'`,
  `'0.5'`,
  `true`,
  `'{"x": [1, null, "2026-01-02"]}'`,
  `'(1,2.5)'`,
  `'1234.56'`,
  `'2026-01-02 03:04:05.678901+02'`,
  `'\\x00ff'`,
]

void test('columns of any type are read as Drizzle reads them', async (t) => {
  const kinds = ownedTable('kinds', PaperNotFound, columns)
  const plain = kinds as unknown as PgTable
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await createTables(db, { kinds })
  const me = { id: randomUUID(), is_superuser: false }
  await db.execute(
    sql`insert into users (id, email, hashed_password) values (${me.id}, 'ada@example.com', '')`,
  )
  const names = Object.entries(columns).map(([name, column]) => {
    const { config } = column as unknown as { config: { name: string } }
    return sql.identifier(config.name || name)
  })
  await db.execute(
    sql`insert into kinds (owner_id, ${sql.join(names, sql`, `)}) values (${me.id}, ${sql.raw(LITERALS.join())})`,
  )
  const rows = ownedRows(db, kinds)
  const [expected] = await db.select().from(plain)
  const { id } = expected as { id: string }
  t.same((await rows.get(me, id)).row, expected, 'a row')
  t.match((await rows.page(me, { limit: 5 })).data, [expected], 'a page')
  t.same((await rows.update(me, id, { yes: true })).row, expected, 'a row that was changed')

  const empty = (await rows.create(me, {})).row
  for (const name of Object.keys(columns))
    t.equal(empty[name as keyof typeof columns], null, `${name} is null`)
})
