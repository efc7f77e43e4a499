import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import {
  type PgColumnBuilderBase,
  bigint,
  bigserial,
  bit,
  boolean,
  char,
  check,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  point,
  serial,
  smallint,
  smallserial,
  text,
  timestamp,
  uniqueIndex,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { type Test, test } from 'tap'
import type { Database } from '../../src/database/connect.ts'
import type { Asker } from '../../src/ownership/access.ts'
import { type OwnedRows, ownedRows } from '../../src/ownership/owned.ts'
import { conceal, ownedTable } from '../../src/ownership/owned-table.ts'
import { users } from '../../src/database/tables.ts'
import {
  AlreadyExists,
  IdempotencyKeyReused,
  InvalidInput,
  InvalidCredentials,
  StillReferenced,
} from '../../src/contract/errors.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound } from '../support/papers.ts'
import { createTables } from '../support/tables.ts'

async function databaseWith(t: Test, schema: Record<string, unknown>) {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  await createTables(db, schema)
  return db
}

async function person(db: Database): Promise<Asker> {
  const id = randomUUID()
  await db.execute(
    sql`insert into users (id, email, hashed_password) values (${id}, ${`${id}@example.com`}, '')`,
  )
  return { id, is_superuser: false }
}

type Row = Record<string, unknown> & { id: string }
type Rows = OwnedRows<Row, Record<string, unknown>, string>
const rowsOf = (db: Database, table: object) =>
  ownedRows(db, table as Parameters<typeof ownedRows>[1]) as unknown as Rows

void test('a field may have any name', async (t) => {
  const names = [
    'x',
    'x_sent',
    'sent',
    'asker',
    'superuser',
    'if_match',
    'skip',
    'limit',
    'key',
    'pattern',
    'most',
    'version',
    'version_of_row',
    'rows_on_all_pages',
    'count',
    'row',
    'is_match',
    'is_cut',
    'is_end',
    'matches',
    'page',
    'total',
    'first',
    'hits',
    'ends',
    'made',
    'fresh',
    'kept',
    'written',
    'one',
    'answer',
    'body',
    'order',
    'select',
    'camelCase',
    'idempotency_key',
    'idempotency_body',
    'user_id',
    'title',
    'constructor',
  ]
  const fields: Record<string, PgColumnBuilderBase> = Object.fromEntries(names.map((name) => [name, text()]))
  const table = ownedTable('anything', fields, {
    notFound: PaperNotFound,
    sort: ['key'],
    search: ['pattern', 'first'],
  })
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)

  const all = Object.fromEntries(names.map((name) => [name, `a ${name}`]))
  const { row } = await rows.create(ada, all)
  t.match(row, all)
  t.match((await rows.create(ada, all, 'once')).row, all)
  for (const name of names) {
    const changed = { ...row, [name]: 'changed' }
    t.same((await rows.update(ada, row.id, { [name]: 'changed' })).row, changed, `${name} alone is written`)
    t.same((await rows.update(ada, row.id, { [name]: row[name] })).row, row)
  }
  for (const sort of ['key', '-key'])
    t.equal((await rows.page(ada, { limit: 5, sort, q: 'A PATTERN' })).data.length, 2)
  t.same((await rows.page(ada, { limit: 1, q: 'a first' })).data[0]?.asker, 'a asker')
  t.throws(
    () => ownedTable('things', { owner_id: uuid() }, { notFound: PaperNotFound }),
    /every owned table has its own owner_id/,
  )
})

void test('a table may have a name that the statements themselves use', async (t) => {
  for (const name of ['total', 'page', 'first', 'counted', 'compared', 'made', 'one', 'newest', 'select']) {
    const fields: Record<string, PgColumnBuilderBase> = { title: text() }
    const table = ownedTable(name, fields, { notFound: PaperNotFound, sort: ['title'], search: ['title'] })
    const db = await databaseWith(t, { table })
    const ada = await person(db)
    const root = { ...ada, is_superuser: true }
    const rows = rowsOf(db, table)
    const made = [await rows.create(ada, { title: 'a' }), await rows.create(ada, { title: 'a' }, 'key')]
    const ids = new Set(made.map(({ row }) => row.id))
    for (const asker of [ada, root])
      for (const request of [{}, { q: 'a' }, { sort: 'title' }]) {
        const { data, count } = await rows.page(asker, { limit: 5, ...request })
        t.same(new Set(data.map(({ id }) => id)), ids, `${name}: ${JSON.stringify(request)}`)
        t.equal(count, 2)
      }
    t.equal((await rows.update(ada, made[0]!.row.id, { title: 'b' })).row.title, 'b')
    await rows.delete(ada, made[0]!.row.id)
    await t.rejects(rows.get(ada, made[0]!.row.id), new PaperNotFound())
  }
})

void test('declaring an owned table with a generated column throws a TypeError', (t) => {
  const columns: Record<string, PgColumnBuilderBase> = {
    twice: integer().generatedAlwaysAs(sql`2 * 2`),
    always: integer().generatedAlwaysAsIdentity(),
    byDefault: integer().generatedByDefaultAsIdentity(),
    serial: serial(),
    small: smallserial(),
    big: bigserial({ mode: 'number' }),
    bigger: bigserial({ mode: 'bigint' }),
  }
  for (const [name, column] of Object.entries(columns))
    t.throws(
      () => ownedTable('things', { title: text(), [name]: column }, { notFound: PaperNotFound }),
      { name: 'TypeError', message: new RegExp(`^things: ${name} is written by the database`) },
      name,
    )
  t.end()
})

void test('a column may have another name than its field', async (t) => {
  const table = ownedTable(
    'renamed',
    { dueOn: date('due_on'), text: text('the_text').notNull().default('none'), other: integer('text') },
    { notFound: PaperNotFound, sort: ['dueOn', 'text'], search: ['text'] },
  )
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const { row } = await rows.create(ada, { dueOn: '2026-01-02', other: 5 })
  t.match(row, { dueOn: '2026-01-02', text: 'none', other: 5 })
  const once = await rows.create(ada, { text: 'b' }, 'key')
  t.match(once.row, { dueOn: null, text: 'b', other: null })
  t.same(await rows.create(ada, { text: 'b' }, 'key'), once)
  t.same((await rows.update(ada, row.id, { text: 'a', other: null })).row, { ...row, text: 'a', other: null })
  for (const sort of ['text', 'dueOn']) {
    const { data, next_cursor: cursor } = await rows.page(ada, { limit: 1, sort })
    t.equal(data[0]?.text, 'a')
    t.equal((await rows.page(ada, { limit: 1, sort, cursor: cursor! })).data[0]?.text, 'b')
    t.equal((await rows.page(ada, { limit: 1, sort, q: 'B' })).data[0]?.text, 'b')
  }
})

const mood = pgEnum('Mood', ['sad', 'ok', 'happy'])

/** For each type some values in ascending order, one of them twice. */
const sorts: Record<string, { column: () => PgColumnBuilderBase; values: unknown[] }> = {
  numeric: {
    column: () => numeric({ precision: 20, scale: 4 }),
    values: ['-3.5000', '2.0000', '2.0000', '10.0000'],
  },
  date: { column: () => date(), values: ['2025-12-31', '2026-01-01', '2026-01-01', '2026-11-01'] },
  uuid: {
    column: () => uuid(),
    values: [1, 2, 2, 3].map((n) => `${n}0000000-0000-4000-8000-000000000000`),
  },
  enumeration: { column: () => mood(), values: ['sad', 'ok', 'ok', 'happy'] },
  integer: { column: () => integer(), values: [-5, 2, 2, 10] },
  boolean: { column: () => boolean(), values: [false, true, true] },
  double: { column: () => doublePrecision(), values: [-0.1, 0.30000000000000004, 0.30000000000000004, 2e10] },
  moment: {
    column: () => timestamp({ withTimezone: true }),
    values: ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.001Z'],
  },
  local: {
    column: () => timestamp({ mode: 'string' }),
    values: ['2026-01-01 00:00:00.000001', '2026-01-01 00:00:00.000002'],
  },
  bits: { column: () => bit({ dimensions: 3 }), values: ['001', '100', '100', '101'] },
  words: { column: () => text(), values: ['A', 'b', 'b', 'C'] },
  letters: { column: () => char({ length: 3 }), values: ['Aaa', 'bba', 'bba', 'bbc'] },
}

void test('lists are sorted by fields of any type, and lose no row where a field is null', async (t) => {
  const fields = Object.fromEntries(Object.entries(sorts).map(([name, { column }]) => [name, column()]))
  const table = ownedTable(
    'sorted',
    { note: text(), ...fields },
    { notFound: PaperNotFound, sort: Object.keys(fields) as 'note'[], search: ['note'] },
  )
  const db = await databaseWith(t, { mood, table })
  const ada = await person(db)
  const root = { ...ada, is_superuser: true }
  const rows = rowsOf(db, table)
  for (let n = 0; n < 12; n++) {
    const values = Object.entries(sorts).map(([name, { values }]) => [
      name,
      values[(n * 7) % (values.length + 3)] ?? null,
    ])
    await rows.create(ada, { note: 'noted', ...Object.fromEntries(values) })
  }

  for (const [name, { values }] of Object.entries(sorts))
    for (const sort of [name, `-${name}`]) {
      for (const asker of [ada, root])
        for (const q of ['', 'noted']) {
          const whole = await rows.page(asker, { limit: 50, sort, q })
          const met: Row[] = []
          let cursor: string | null | undefined
          do {
            const page: typeof whole = await rows.page(asker, {
              limit: 1,
              sort,
              q,
              cursor: cursor ?? undefined,
            })
            met.push(...page.data)
            cursor = page.next_cursor
          } while (cursor !== null && met.length < 50)
          t.same(
            met.map(({ id }) => id),
            whole.data.map(({ id }) => id),
            `${sort} ${q}: each row once`,
          )
          t.equal(met.length, 12)
        }
      const { data } = await rows.page(ada, { limit: 50, sort })
      const shown = data.map((row) => (row[name] instanceof Date ? row[name].toISOString() : row[name]))
      const present = shown.filter((value) => value !== null)
      const inOrder = present.toSorted((a, b) => values.indexOf(a) - values.indexOf(b))
      t.same(present, sort.startsWith('-') ? inOrder.toReversed() : inOrder, `${sort}: in order`)
      if (!['words', 'letters'].includes(name))
        t.same(shown.slice(0, present.length), present, `${sort}: null is last`)
    }
})

void test('lists are sorted by text of any length', async (t) => {
  const table = ownedTable(
    'long',
    { words: text().notNull() },
    { notFound: PaperNotFound, sort: ['words'], search: ['words'] },
  )
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const noise = () => randomBytes(9_000).toString('base64')
  const start = 'x'.repeat(300)
  const made = [
    noise(),
    noise(),
    '🦊'.repeat(3000),
    '\u0001'.repeat(3000),
    `${start}a${noise()}`,
    `${start}B`,
    `${start}c`,
    'a',
  ]
  for (const words of made) await rows.create(ada, { words })
  for (const sort of ['words', '-words']) {
    const met: unknown[] = []
    let cursor: string | null | undefined
    do {
      const page = await rows.page(ada, { limit: 1, sort, cursor: cursor ?? undefined })
      met.push(page.data[0]!.words)
      cursor = page.next_cursor
      t.ok((cursor?.length ?? 0) < 4096, 'a cursor fits into a query')
    } while (cursor !== null && met.length < 50)
    t.same(new Set(met), new Set(made), `${sort}: each once`)
    t.equal(met.length, made.length)
  }
  t.equal((await rows.page(ada, { limit: 1, sort: '-words', q: `${start}b` })).count, 1)
})

void test('defaults apply to fields that are not sent, not to null', async (t) => {
  let made = 0
  const table = ownedTable(
    'defaults',
    {
      plain: integer().default(7),
      counted: integer().$default(() => 10 * ++made),
      sql: text().$defaultFn(() => sql`'of ' || 'SQL'` as never),
      touched: integer().$onUpdate(() => 10 * ++made),
      changed_at: timestamp()
        .notNull()
        .$onUpdate(() => sql`clock_timestamp()`),
      required: boolean().notNull().default(true),
    },
    { notFound: PaperNotFound },
  )
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const { row } = await rows.create(ada, {})
  const filled = {
    plain: 7,
    counted: Number,
    sql: 'of SQL',
    touched: Number,
    changed_at: Date,
    required: true,
  }
  t.match(row, filled)
  t.not((await rows.create(ada, {})).row.counted, row.counted, 'functions are asked each time')
  const nulls = { plain: null, counted: null, sql: null, touched: null }
  t.match((await rows.create(ada, nulls)).row, nulls)
  const changed = (await rows.update(ada, row.id, { required: false })).row
  const { touched, changed_at } = row
  t.same({ ...changed, touched, changed_at }, { ...row, required: false })
  t.ok(Number(changed.touched) > Number(touched), 'and at each change')
  t.ok(Number(changed.changed_at) >= Number(changed_at))
  t.match((await rows.update(ada, row.id, { touched: 0 })).row, { touched: 0, required: false })

  const once = await rows.create(ada, {}, 'key')
  t.match(once.row, { plain: 7, sql: 'of SQL' })
  t.same(await rows.create(ada, {}, 'key'), once, 'a repeat is the same, whatever its functions give')
  await t.rejects(
    rows.create(ada, { plain: null }, 'key'),
    new IdempotencyKeyReused(),
    'and null is another body',
  )
  t.match((await rows.create(ada, nulls, 'nulls')).row, nulls)
})

void test('dates and times are accepted as ISO 8601 text, and refused at their field if invalid', async (t) => {
  const table = ownedTable(
    'times',
    {
      due: timestamp({ withTimezone: true }),
      day: date({ mode: 'date' }),
      wall: timestamp(),
    },
    { notFound: PaperNotFound },
  )
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const body = { due: '2026-03-04T05:06:07.089+02:00', day: '2026-03-04', wall: '2026-03-04T05:06:07Z' }
  const seen = { due: new Date(body.due), day: new Date(body.day), wall: new Date(body.wall) }
  const { row } = await rows.create(ada, body)
  t.match(row, seen)
  t.match((await rows.create(ada, body, 'key')).row, seen)
  t.match((await rows.update(ada, row.id, { due: '2026-01-01T00:00:00Z' })).row, {
    ...seen,
    due: new Date('2026-01-01T00:00:00Z'),
  })
  const beyond = ['9999-12-31T23:59:59-05:00', '0001-01-01T00:00:00+05:00']
  for (const due of ['soon', '2026-02-30T00:00:00Z', '', ...beyond]) {
    const refusal = new InvalidInput(
      ['body', 'due'],
      'Input should be a valid date or time',
      'datetime_parsing',
    )
    await t.rejects(rows.create(ada, { due }), refusal, due)
    await t.rejects(rows.update(ada, row.id, { due }), refusal)
  }
})

/** The field that a write is refused for. */
const fieldRefused = (write: Promise<unknown>) =>
  write.then(
    () => 'none',
    (error: unknown) => (error instanceof InvalidInput ? error.fault.loc.at(-1) : error),
  )

void test('enums, arrays, bigint, JSON, points and times are written and read back', async (t) => {
  const state = pgEnum('State', { On: 'on', Off: 'off' })
  const columns = {
    state: state(),
    moods: mood().array(),
    codes: char({ length: 3 }).array(),
    large: bigint({ mode: 'bigint' }),
    data: jsonb(),
    day: date(),
    times: timestamp({ withTimezone: true }).array(),
    place: point(),
    short: varchar({ length: 3 }),
  }
  // Some tables have the name of a PostgreSQL type.
  for (const name of ['of_types', 'money', 'path', 'point']) {
    const table = ownedTable(name, columns, { notFound: PaperNotFound })
    const db = await databaseWith(t, { mood, state, table })
    const ada = await person(db)
    const rows = rowsOf(db, table)
    const body = { state: 'on', moods: ['ok', 'sad'], codes: ['abc', 'd'], large: 2n ** 60n, data: [1] }
    const seen = { ...body, codes: ['abc', 'd  '] }
    const { row } = await rows.create(ada, body)
    t.match(row, seen, name)
    const once = await rows.create(ada, body, 'key')
    t.match(once.row, seen)
    t.same(await rows.create(ada, body, 'key'), once)
    await t.rejects(rows.create(ada, { ...body, large: 5n }, 'key'), new IdempotencyKeyReused())
    t.match((await rows.update(ada, row.id, { state: 'off', moods: ['happy'] })).row, {
      state: 'off',
      moods: ['happy'],
    })
    const refusal = new InvalidInput(
      ['body', 'day'],
      'Input should be a valid date or time',
      'datetime_parsing',
    )
    await t.rejects(rows.create(ada, { large: 5n, day: 'then' }), refusal)
    const times = ['2026-02-03T04:05:06+01:00']
    t.same((await rows.create(ada, { times })).row.times, [new Date(times[0]!)])
    for (const wrong of ['2026-02-30T00:00:00Z', '9999-12-31T23:59:59-05:00', 'then'])
      t.equal(await fieldRefused(rows.create(ada, { times: [...times, wrong] })), 'times', wrong)
    t.equal(await fieldRefused(rows.create(ada, { place: [1, 2], short: 'abcd' })), 'short')
  }
})

void test('JSON nested more than 500 levels deep is refused at its field', async (t) => {
  const table = ownedTable('nested', { data: jsonb() }, { notFound: PaperNotFound })
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown
  const { row } = await rows.create(ada, { data: nested(500) })
  t.same(row.data, nested(500))
  const refusal = new InvalidInput(['body', 'data'], 'Value is nested too deeply', 'value_error')
  for (const depth of [501, 6_000, 16_000]) {
    const data = { a: nested(depth - 1) }
    await t.rejects(rows.create(ada, { data }), refusal)
    await t.rejects(rows.create(ada, { data }, 'key'), refusal)
    await t.rejects(rows.update(ada, row.id, { data }), refusal)
  }
})

void test('declaring a search in a column that is no text throws a TypeError', (t) => {
  const search = { search: ['n'] } as const
  for (const n of [integer(), mood(), text().array(), timestamp()])
    t.throws(() => ownedTable('things', { n }, { notFound: PaperNotFound, ...search }), {
      name: 'TypeError',
      message: /^things: n is no text/,
    })
  t.doesNotThrow(() =>
    ownedTable('things', { n: char({ length: 3 }) }, { notFound: PaperNotFound, ...search }),
  )
  t.end()
})

void test('a value that a column or constraint refuses is 422 at its field', async (t) => {
  const shelves = ownedTable('shelves', { title: text() }, { notFound: PaperNotFound })
  const shelfId = () => (shelves as unknown as typeof users).id
  const columns = {
    title: varchar({ length: 10 }).notNull(),
    shelf: uuid('shelf_id').references(shelfId),
    slug: text().unique(),
    pages: smallint(),
    price: numeric({ precision: 5, scale: 2 }),
    on: date(),
    mood: mood(),
    ref: uuid(),
    stars: integer(),
    from: integer(),
    to: integer(),
    code: text(),
    letters: char({ length: 3 }),
    bits: bit({ dimensions: 3 }),
  }
  const table = pgTable(
    'books',
    {
      id: uuid().primaryKey().defaultRandom(),
      ...columns,
      owner_id: uuid()
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
      created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
    },
    (books) => [
      check('five_stars', sql`${books.stars} between 1 and 5`),
      check('in_order', sql`${books.from} <= ${books.to}`),
      uniqueIndex('codes').on(sql`lower(${books.code})`, books.owner_id),
    ],
  )
  const books = conceal<Row, string, string>(table, {
    fields: Object.keys(columns),
    search: [],
    notFound: PaperNotFound,
  })
  const db = await databaseWith(t, { mood, shelves, table })
  await db.execute(sql`alter table books add constraint books_pages_check check (pages > 0)`)
  const ada = await person(db)
  const [onShelves, rows] = [rowsOf(db, shelves), rowsOf(db, books)]
  const shelf = (await onShelves.create(ada, { title: 'Shelf' })).row.id
  const { row } = await rows.create(ada, { title: 'Book', shelf, slug: 'book', code: 'A' })

  const refused: [body: Record<string, unknown>, field: string | undefined, type?: string][] = [
    [{ title: 'x'.repeat(11) }, 'title', 'string_too_long'],
    [{ title: null }, 'title', 'missing'],
    [{ shelf: randomUUID() }, 'shelf'],
    [{ shelf: 'no id' }, 'shelf'],
    [{ pages: 40_000 }, 'pages'],
    [{ pages: 1.5 }, 'pages'],
    [{ pages: 1e20 }, 'pages'],
    [{ pages: 0 }, 'pages'],
    [{ price: '1000' }, 'price'],
    [{ price: 'free' }, 'price'],
    [{ on: '2026-02-30' }, 'on', 'datetime_parsing'],
    [{ on: 'then' }, 'on', 'datetime_parsing'],
    [{ mood: 'furious' }, 'mood'],
    [{ ref: 'x' }, 'ref'],
    [{ stars: 6 }, 'stars'],
    [{ from: 2, to: 1 }, 'from'],
    [{ letters: 'abcd' }, 'letters', 'string_too_long'],
    [{ bits: '1010' }, 'bits'],
    [{ slug: randomBytes(9_000).toString('base64') }, undefined, 'string_too_long'],
  ]
  for (const [body, field, type] of refused)
    for (const [how, write] of [
      ['created', () => rows.create(ada, { title: 'New', ...body })],
      ['created once', () => rows.create(ada, { title: 'New', ...body }, randomUUID())],
      ['changed', () => rows.update(ada, row.id, body)],
    ] as const) {
      const error = await write().then(
        () => undefined,
        (error: InvalidInput) => error,
      )
      const what = `${Object.keys(body).join()} ${how}`
      t.equal(error?.status, 422, what)
      t.same(error?.fault.loc, field === undefined ? ['body'] : ['body', field], what)
      if (type !== undefined) t.equal(error?.fault.type, type, what)
      t.notMatch(JSON.stringify(error?.fault), /x{11}|furious|then/, 'and the value is not repeated')
    }

  const other = (await rows.create(ada, { title: 'Other' })).row.id
  for (const [field, value] of [
    ['slug', 'book'],
    ['code', 'a'],
  ] as const)
    for (const write of [
      () => rows.create(ada, { title: 'New', [field]: value }),
      () => rows.create(ada, { title: 'New', [field]: value }, randomUUID()),
      () => rows.update(ada, other, { [field]: value }),
    ])
      await t.rejects(write(), new AlreadyExists(field))
  await t.rejects(onShelves.delete(ada, shelf), new StillReferenced(), 'a row that others refer to stays')
  for (const id of ['x', ''])
    for (const asked of [
      () => rows.get(ada, id),
      () => rows.update(ada, id, { title: 'x' }),
      () => rows.delete(ada, id),
    ])
      await t.rejects(asked() as Promise<void>, new PaperNotFound(), 'what is no id is nobody’s')
  await t.rejects(
    rows.create({ id: randomUUID(), is_superuser: false }, { title: 'x' }),
    new InvalidCredentials(),
  )
  await t.rejects(
    rows.create({ id: randomUUID(), is_superuser: false }, { title: 'x' }, 'key'),
    new InvalidCredentials(),
  )
  t.same((await rows.get(ada, row.id)).row, row, 'nothing of it is written')
})

void test('a row that others of its own table refer to cannot be deleted', async (t) => {
  const table: object = ownedTable(
    'categories',
    {
      parent_id: uuid().references(() => (table as typeof users).id),
    },
    { notFound: PaperNotFound },
  )
  const db = await databaseWith(t, { table })
  const ada = await person(db)
  const rows = rowsOf(db, table)
  const parent = (await rows.create(ada, {})).row.id
  const child = (await rows.create(ada, { parent_id: parent })).row.id
  await t.rejects(rows.delete(ada, parent), new StillReferenced())
  const unknown = new InvalidInput(
    ['body', 'parent_id'],
    'Value refers to nothing that is there',
    'value_error',
  )
  await t.rejects(rows.update(ada, child, { parent_id: randomUUID() }), unknown)
  await rows.delete(ada, child)
  await t.resolves(rows.delete(ada, parent))
})

void test('a value that a hand-written constraint refuses is reported at its field', async (t) => {
  const projects = ownedTable('projects', { title: text() }, { notFound: PaperNotFound })
  const long = 'a_field_that_has_so_long_a_name_that_its_key_is_cut'
  const table = ownedTable(
    'tasks',
    {
      project_id: uuid(),
      slug: text(),
      code: text(),
      start: integer(),
      start_at: integer(),
      [long]: uuid().references(() => (projects as unknown as typeof users).id),
    },
    { notFound: PaperNotFound },
  )
  const db = await databaseWith(t, { projects, table })
  for (const statement of [
    'alter table projects add unique (owner_id, id)',
    'alter table tasks add foreign key (owner_id, project_id) references projects (owner_id, id)',
    'alter table tasks add constraint each_once unique (owner_id, slug)',
    'alter table tasks add check (start_at > 0)',
    'create unique index codes on tasks (owner_id, lower(code))',
  ])
    await db.execute(sql.raw(statement))
  const [ada, bob] = [await person(db), await person(db)]
  const [ofProjects, rows] = [rowsOf(db, projects), rowsOf(db, table)]
  const [own, others] = [await ofProjects.create(ada, {}), await ofProjects.create(bob, {})]
  const first = { project_id: own.row.id, slug: 'a', code: 'A', [long]: own.row.id }
  await rows.create(ada, first)
  const { row } = await rows.create(ada, {})

  const refusedAt = (field: string) => ({ status: 422, fault: { loc: ['body', field] } })
  const refused: [body: Record<string, unknown>, refusal: object][] = [
    [{ project_id: randomUUID() }, refusedAt('project_id')],
    [{ project_id: others.row.id }, refusedAt('project_id')],
    [{ [long]: randomUUID() }, refusedAt(long)],
    [{ start_at: 0, start: 0 }, refusedAt('start_at')],
    [{ slug: 'a' }, new AlreadyExists('slug')],
    [{ code: 'a' }, new AlreadyExists('code')],
  ]
  for (const [body, refusal] of refused)
    for (const write of [
      () => rows.create(ada, body),
      () => rows.create(ada, body, randomUUID()),
      () => rows.update(ada, row.id, body),
    ])
      await t.rejects(write(), refusal as Error, Object.keys(body).join())
  const gone = { id: randomUUID(), is_superuser: false }
  await t.rejects(rows.create(gone, {}), new InvalidCredentials())
  await t.rejects(rows.create(gone, {}, 'key'), new InvalidCredentials())
})
