import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import fastify from 'fastify'
import plugin from 'fastify-plugin'
import { test } from 'tap'
import type { Database } from '../../src/db/connect.ts'
import { ownedRows } from '../../src/db/owned.ts'
import type { OwnedTable } from '../../src/db/owned-table.ts'
import { preparePage } from '../../src/db/page.ts'
import { items, users } from '../../src/db/tables.ts'
import { InvalidCredentials, ItemNotFound, NotEnoughPermissions } from '../../src/errors.ts'
import { ownership } from '../../src/plugins/ownership.ts'
import { freshDatabase } from '../support/database.ts'

const ROWS = 4000

/** A statement as it would be sent, its values in place. */
async function statementOf(run: (db: Database) => Promise<unknown>): Promise<string> {
  let statement = ''
  const literal = (value: unknown) => (typeof value === 'string' ? `'${value}'` : String(value))
  await run(
    drizzle((text, values: unknown[]) => {
      statement = text.replace(/\$(\d+)/g, (_, place: string) => literal(values[Number(place) - 1]))
      return Promise.resolve({ rows: [] })
    }),
  )
  return statement
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Scan Direction'?: string
  readonly 'Actual Rows': number
  readonly Plans?: PlanNode[]
}

/** What the database did for a statement. */
async function planOf(db: Database, statement: string): Promise<PlanNode[]> {
  const result: unknown = await db.execute(sql.raw(`explain (analyze, format json) ${statement}`))
  const [row] = (Array.isArray(result) ? result : (result as { rows: unknown[] }).rows) as {
    'QUERY PLAN': { Plan: PlanNode }[]
  }[]
  const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)]
  return row!['QUERY PLAN'].flatMap(({ Plan }) => flat(Plan))
}

void test('rows with owners', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const person = (name: string) => ({ id: randomUUID(), is_superuser: name === 'admin', name })
  const people = ['ada', 'bob', 'admin'].map(person)
  const [ada, bob, admin] = people as [(typeof people)[0], (typeof people)[0], (typeof people)[0]]
  for (const { id, name } of people)
    await db.execute(
      sql`insert into users (id, email, hashed_password) values (${id}, ${`${name}@example.com`}, '')`,
    )
  const rows = ownedRows(db, items)

  await t.test('a table without owners is no door', async (t) => {
    const noOwners = users as unknown as OwnedTable<unknown, string>
    const refusal = { name: 'TypeError', message: /^Not an owned table/ }
    t.throws(() => ownedRows(db, noOwners), refusal, 'everybody would read users through it')
    t.throws(() => ownedRows(db, {} as OwnedTable<unknown, string>), refusal)
  })

  await t.test('a route that forgot to ask who is there gets no rows', async (t) => {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(
      plugin((app, _options, done) => (app.decorate('db', db as never), done()), { name: 'database' }),
    )
    await app.register(
      plugin((app, _options, done) => (app.decorateRequest('user', null as never), done()), { name: 'auth' }),
    )
    await app.register(ownership)
    const { id } = await rows.create(ada, { title: 'Secret' })
    app.get('/page', (request) => request.owned(items).page({ skip: 0, limit: 10 }))
    app.get('/get', (request) => request.owned(items).get(id))
    app.get('/create', (request) => request.owned(items).create({ title: 'x' }))
    app.get('/update', (request) => request.owned(items).update(id, { title: 'x' }))
    app.get('/delete', (request) => request.owned(items).delete(id))
    for (const url of ['/page', '/get', '/create', '/update', '/delete']) {
      const { statusCode, body } = await app.inject(url)
      t.equal(statusCode, 500, url)
      t.notMatch(body, 'Secret')
    }
    t.match(await rows.get(ada, id), { title: 'Secret' }, 'and changes none')
    t.equal((await rows.page(admin, { skip: 0, limit: 10 })).count, 1)
  })

  await t.test('only an owner and superusers reach a row', async (t) => {
    const { id } = await rows.create(ada, { title: 'Engine', description: 'Brass' })
    const forbidden = new NotEnoughPermissions()
    await t.rejects(rows.get(bob, id), forbidden)
    await t.rejects(rows.update(bob, id, { title: 'x' }), forbidden)
    await t.rejects(rows.delete(bob, id), forbidden)
    t.match(await rows.get(ada, id), { title: 'Engine' })
    t.match(await rows.update(admin, id, { description: null }), { title: 'Engine', description: null })
    await rows.delete(admin, id)
    const unknown = new ItemNotFound()
    for (const asker of people) {
      await t.rejects(rows.get(asker, id), unknown)
      await t.rejects(rows.update(asker, id, { title: 'x' }), unknown)
      await t.rejects(rows.delete(asker, id), unknown)
    }
  })

  await t.test('whoever is deleted between guard and write is told to sign in', async (t) => {
    await t.rejects(rows.create(person('gone'), { title: 'x' }), new InvalidCredentials())
  })

  await t.test('pages stay fast however many rows there are: an index gives them in order', async (t) => {
    await db.execute(sql`
      insert into items (title, owner_id, created_at)
      select 'item ' || n, (array[${ada.id}, ${bob.id}]::uuid[])[1 + n % 2], now() - n * interval '1 second'
      from generate_series(1, ${ROWS}::integer) n`)
    await db.execute(sql`
      insert into users (email, hashed_password, created_at)
      select n || '@example.net', '', now() - n * interval '1 second' from generate_series(1, ${ROWS}::integer) n`)
    await db.execute(sql`analyze`)
    const range = { skip: 200, limit: 100 }
    const pages: [index: string, statement: string][] = [
      [
        'items_owner_id_created_at_id_index',
        await statementOf((db) => ownedRows(db, items).page(ada, range)),
      ],
      ['items_created_at_id_index', await statementOf((db) => ownedRows(db, items).page(admin, range))],
      ['users_created_at_id_index', await statementOf((db) => preparePage(db, users, 'page')(range))],
    ]
    for (const [index, statement] of pages) {
      const nodes = await planOf(db, statement)
      const scan = nodes.find((node) => node['Index Name'] === index)
      t.equal(scan?.['Scan Direction'], 'Backward', `${index} gives the page`)
      t.equal(scan?.['Actual Rows'], range.skip + range.limit, 'and is read no further')
      for (const sort of nodes.filter((node) => node['Node Type'].endsWith('Sort')))
        t.ok(sort['Actual Rows'] <= range.limit, 'no more than the page is sorted')
    }
  })
})
