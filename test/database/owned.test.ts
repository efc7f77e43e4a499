import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import fastify, { type FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { test } from 'tap'
import type { SignedIn } from '../../src/contract/contract.ts'
import type { Database } from '../../src/database/connect.ts'
import type { Statement } from '../../src/database/statement.ts'
import { ownedRows } from '../../src/ownership/owned.ts'
import type { OwnedTable } from '../../src/ownership/owned-table.ts'
import { writeCursor } from '../../src/ownership/list/cursor.ts'
import { type PageRequest, preparePages } from '../../src/ownership/list/page.ts'
import { users } from '../../src/database/tables.ts'
import { InvalidCredentials, NotEnoughPermissions } from '../../src/contract/errors.ts'
import { conditions } from '../../src/ownership/conditions.ts'
import { ownership } from '../../src/ownership/plugin.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound, papers } from '../support/papers.ts'

const signedIn = (request: FastifyRequest) => request as FastifyRequest & SignedIn

const ROWS = 4000

/** The first statement that `run` sends, with its values inlined. */
async function statementOf(run: (db: Database) => Promise<unknown>): Promise<string> {
  let statement = ''
  const literal = (value: unknown) => (typeof value === 'string' ? `'${value}'` : String(value))
  const ask = (text: string, values: unknown[]) => {
    statement ||= text.replace(/\$(\d+)/g, (_, place: string) => literal(values[Number(place) - 1]))
    return Promise.resolve({ rows: [] })
  }
  const transaction = () => Promise.reject(new Error('none here'))
  const db: Database = Object.assign(drizzle(ask), {
    transaction,
    run: async ({ text, bind }: Statement<never, object>, values: object) =>
      (await ask(text, bind(values as never))).rows as never,
  })
  await run(db)
  return statement
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Scan Direction'?: string
  readonly 'Actual Rows': number
  readonly Plans?: PlanNode[]
}

/** All nodes of the plan by which the database ran a statement. */
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
  const rows = ownedRows(db, papers)

  await t.test('ownedRows() refuses a table without owners', async (t) => {
    const noOwners = users as unknown as OwnedTable
    const refusal = { name: 'TypeError', message: /^Not an owned table/ }
    t.throws(() => ownedRows(db, noOwners), refusal, 'everybody would read users through it')
    t.throws(() => ownedRows(db, {} as OwnedTable), refusal)
  })

  await t.test('a route without authentication is 500 and reads or changes no rows', async (t) => {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(
      plugin(
        (app, _options, done) => (
          app.decorate('db', db as never).decorate('config', { MAX_ROWS_PER_USER: 100 } as never),
          done()
        ),
        { name: 'database' },
      ),
    )
    await app.register(
      plugin((app, _options, done) => (app.decorateRequest('user', null as never), done()), { name: 'auth' }),
    )
    await app.register(conditions, { config: { SECRET_KEY: 'only for tests' } })
    await app.register(ownership, { tables: [papers] })
    const { id } = (await rows.create(ada, { title: 'Secret' })).row
    app.get('/page', (request) => signedIn(request).owned(papers).page({ skip: 0, limit: 10 }))
    app.get('/get', (request) => signedIn(request).owned(papers).get(id))
    app.get('/create', (request) => signedIn(request).owned(papers).create({ title: 'x' }))
    app.get('/update', (request) => signedIn(request).owned(papers).update(id, { title: 'x' }))
    app.get('/delete', (request) => signedIn(request).owned(papers).delete(id))
    for (const url of ['/page', '/get', '/create', '/update', '/delete']) {
      const { statusCode, body } = await app.inject(url)
      t.equal(statusCode, 500, url)
      t.notMatch(body, 'Secret')
    }
    t.match((await rows.get(ada, id)).row, { title: 'Secret' }, 'and changes none')
    t.equal((await rows.page(admin, { skip: 0, limit: 10 })).count, 1)
  })

  await t.test("another user's row is 403; its owner and superusers can read and change it", async (t) => {
    const { id } = (await rows.create(ada, { title: 'Engine', description: 'Brass' })).row
    const forbidden = new NotEnoughPermissions()
    await t.rejects(rows.get(bob, id), forbidden)
    await t.rejects(rows.update(bob, id, { title: 'x' }), forbidden)
    await t.rejects(rows.delete(bob, id), forbidden)
    t.match((await rows.get(ada, id)).row, { title: 'Engine' })
    t.match((await rows.update(admin, id, { description: null })).row, { title: 'Engine', description: null })
    await rows.delete(admin, id)
    const unknown = new PaperNotFound()
    for (const asker of people) {
      await t.rejects(rows.get(asker, id), unknown)
      await t.rejects(rows.update(asker, id, { title: 'x' }), unknown)
      await t.rejects(rows.delete(asker, id), unknown)
    }
  })

  await t.test('a user who is deleted between authentication and write is 401', async (t) => {
    await t.rejects(rows.create(person('gone'), { title: 'x' }), new InvalidCredentials())
  })

  await t.test('a page of a large table is read in order from an index, and no further', async (t) => {
    await db.execute(sql`
      insert into papers (title, owner_id, created_at)
      select 'paper ' || n, (array[${ada.id}, ${bob.id}]::uuid[])[1 + least(n % 8, 1)], now() - n * interval '1 second'
      from generate_series(1, ${ROWS}::integer) n`)
    await db.execute(sql`
      insert into users (email, hashed_password, created_at)
      select n || '@example.net', '', now() - n * interval '1 second' from generate_series(1, ${ROWS}::integer) n`)
    await db.execute(sql`vacuum analyze`)
    const skip = 200
    const limit = 100
    const range = { skip, limit }
    const after = (sort: string, key: string) => ({
      limit,
      sort: sort as 'title',
      cursor: writeCursor({ sort, q: '', filter: '' }, { key, id: ada.id }),
    })
    const papersOf = (asker: typeof ada, request: PageRequest<'created_at' | 'title'>) =>
      statementOf((db) => ownedRows(db, papers).page(asker, request))
    const usersBy = (request: PageRequest) =>
      statementOf((db) => preparePages(db, users)(request as typeof range))
    const old = new Date(Date.now() - (ROWS / 2) * 1000).toISOString()
    const pages: [index: string, direction: string, read: number, statement: string][] = [
      ['papers_owner_id_created_at_id_index', 'Backward', skip + limit, await papersOf(ada, range)],
      ['papers_created_at_id_index', 'Backward', skip + limit, await papersOf(admin, range)],
      ['users_created_at_id_index', 'Backward', skip + limit, await usersBy(range)],
      [
        'papers_owner_id_created_at_id_index',
        'Backward',
        limit,
        await papersOf(ada, after('-created_at', old)),
      ],
      ['papers_created_at_id_index', 'Forward', limit, await papersOf(admin, after('created_at', old))],
      ['papers_owner_id_title_id_index', 'Forward', limit, await papersOf(ada, after('title', 'paper 2'))],
      ['papers_title_id_index', 'Backward', limit, await papersOf(admin, after('-title', 'paper 2'))],
      ['users_created_at_id_index', 'Backward', limit, await usersBy(after('-created_at', old))],
      ['users_full_name_id_index', 'Forward', limit, await usersBy(after('full_name', 'a'))],
      ['users_email_unique', 'Forward', limit, await usersBy(after('email', '2'))],
    ]
    for (const [index, direction, read, statement] of pages) {
      const nodes = await planOf(db, statement)
      // The count may use the same index, by an index-only scan.
      const scan = nodes.find((node) => node['Index Name'] === index && node['Node Type'] === 'Index Scan')
      t.equal(scan?.['Scan Direction'], direction, `${index} gives the page`)
      // One more row tells whether a page follows; and another one where the index has no id.
      t.ok(scan && scan['Actual Rows'] <= read + 2, `and is read no further: ${scan?.['Actual Rows']}`)
      for (const sort of nodes.filter((node) => node['Node Type'].endsWith('Sort')))
        t.ok(sort['Actual Rows'] <= limit + 1, 'no more than the page is sorted')
    }
  })
})
