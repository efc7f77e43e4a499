import { randomUUID } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import { pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import fastify, { type FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { type Test, test } from 'tap'
import { type SignedIn, Time } from '../../src/contract/contract.ts'
import { conceal } from '../../src/ownership/owned-table.ts'
import { conditions } from '../../src/ownership/conditions.ts'
import { errors } from '../../src/http/errors.ts'
import { ownership } from '../../src/ownership/plugin.ts'
import { validation } from '../../src/http/input/validation.ts'
import { freshDatabase } from '../support/database.ts'
import { PaperNotFound } from '../support/papers.ts'

function ownedTable(name: string) {
  const table = pgTable(name, {
    id: uuid().primaryKey().defaultRandom(),
    title: text().notNull(),
    owner_id: uuid().notNull(),
    created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  })
  return conceal<typeof table.$inferSelect, { title: string }, 'created_at'>(table, {
    fields: ['title'],
    search: [],
    notFound: PaperNotFound,
  })
}
const [shelves, books] = [ownedTable('test_shelves'), ownedTable('test_books')]

/** An app with both tables, in which every request comes from one user; tests add routes to it. */
async function ownedApp(t: Test) {
  const { db, close } = await freshDatabase()
  for (const name of ['test_shelves', 'test_books'])
    await db.execute(
      sql`create table ${sql.identifier(name)} (id uuid primary key default gen_random_uuid(), title text not null,
        owner_id uuid not null, created_at timestamptz(3) not null default now())`,
    )
  const user = { id: randomUUID(), is_superuser: false }
  const app = fastify()
  t.teardown(async () => {
    await app.close()
    await close()
  })
  const fake = (name: string, decorate: (to: typeof app) => unknown) =>
    app.register(plugin((app, _options, done) => (decorate(app as never), done()), { name }))
  await fake('database', (app) =>
    app.decorate('db', db as never).decorate('config', { MAX_ROWS_PER_USER: 100 } as never),
  )
  await fake('reporting', (app) => app.decorate('reportError', (() => undefined) as never))
  await fake('auth', (app) =>
    app
      .decorateRequest('user', null as never)
      .addHook('onRequest', async (request) => void (request.user = user as never)),
  )
  await app.register(errors)
  await app.register(validation)
  await app.register(conditions, { config: { SECRET_KEY: 'only for tests' } })
  await app.register(ownership, { tables: [shelves, books] })
  return app
}

const signedIn = (request: unknown) => request as FastifyRequest & SignedIn

interface Ids {
  Params: { shelf: string; book: string; title: string }
}

void test('ETag and If-Match belong to the answered row, not to others that the handler reads', async (t) => {
  const app = await ownedApp(t)
  app.post<Ids>('/shelves', (request) => signedIn(request).owned(shelves).create({ title: 'Shelf' }))
  app.post<Ids>('/books', (request) => signedIn(request).owned(books).create({ title: 'Book' }))
  app.get<Ids>('/shelves/:shelf/books', async (request) => {
    await signedIn(request).owned(shelves).get(request.params.shelf)
    return signedIn(request).owned(books).page({ limit: 10 })
  })
  app.get<Ids>('/shelves/:shelf/books/:book', async (request) => {
    await signedIn(request).owned(shelves).get(request.params.shelf)
    const book = await signedIn(request).owned(books).get(request.params.book)
    await signedIn(request).owned(shelves).get(request.params.shelf)
    return book
  })
  app.get<Ids>('/shelves/:shelf/summary', async (request) => {
    const { title } = await signedIn(request).owned(shelves).get(request.params.shelf)
    return { title }
  })
  app.put<Ids>('/shelves/:shelf/books/:book', async (request) => {
    await signedIn(request).owned(shelves).update(request.params.shelf, { title: 'Changed' })
    return signedIn(request).owned(books).update(request.params.book, { title: 'Changed' })
  })
  app.put<Ids>('/shelves/:shelf/title/:title', (request) =>
    signedIn(request).owned(shelves).update(request.params.shelf, { title: request.params.title }),
  )
  app.get<Ids>('/shelves/:shelf', (request) => signedIn(request).owned(shelves).get(request.params.shelf))

  const made = async (url: string) => {
    const answer = await app.inject({ method: 'POST', url })
    return { id: answer.json<{ id: string }>().id, tag: String(answer.headers.etag) }
  }
  const [shelf, book] = [await made('/shelves'), await made('/books')]
  const get = (url: string, known?: string) =>
    app.inject({ url, ...(known !== undefined && { headers: { 'if-none-match': known } }) })
  const of = `/shelves/${shelf.id}`

  t.equal((await get(of)).headers.etag, shelf.tag)
  for (const url of [`${of}/books`, `${of}/summary`]) {
    const answer = await get(url, shelf.tag)
    t.equal(answer.statusCode, 200, `${url} is no version of the shelf`)
    t.notOk('etag' in answer.headers)
  }
  t.equal((await get(`${of}/books/${book.id}`)).headers.etag, book.tag, 'whatever was read before and after')
  t.equal((await get(`${of}/books/${book.id}`, shelf.tag)).statusCode, 200)
  t.equal((await get(`${of}/books/${book.id}`, book.tag)).statusCode, 304)

  const put = (tag: string) =>
    app.inject({ method: 'PUT', url: `${of}/books/${book.id}`, headers: { 'if-match': tag } })
  const changed = await put(book.tag)
  t.equal(changed.statusCode, 200, 'If-Match is about the row that the path names')
  t.equal((await put(book.tag)).statusCode, 412)
  t.equal((await put(shelf.tag)).statusCode, 412)
  t.equal((await get(`${of}/books/${book.id}`)).headers.etag, changed.headers.etag)

  const name = (tag: string) =>
    app.inject({ method: 'PUT', url: `${of}/title/New`, headers: { 'if-match': tag } })
  t.equal((await name(shelf.tag)).statusCode, 412, 'whatever words the path names after it')
  t.equal((await name(String((await get(of)).headers.etag))).statusCode, 200)
})

void test('schema defaults apply to POST, not to PUT and PATCH', async (t) => {
  const app = await ownedApp(t)
  const shared = Type.Object({
    open: Type.Optional(Type.Boolean({ default: true })),
    more: Type.Optional(Type.Object({ level: Type.Optional(Type.Integer({ default: 1 })) })),
  })
  const methods = ['POST', 'PUT', 'PATCH'] as const
  for (const method of methods)
    app.route({ method, url: '/', schema: { body: shared }, handler: async ({ body }) => body })
  const seen = async (method: (typeof methods)[number]) =>
    (await app.inject({ method, url: '/', payload: { more: {} } })).json<unknown>()
  t.same(await seen('POST'), { open: true, more: { level: 1 } })
  for (const method of ['PUT', 'PATCH'] as const) t.same(await seen(method), { more: {} })
})

void test('a date or time that does not exist is 422 at its field', async (t) => {
  const app = await ownedApp(t)
  const body = Type.Object({ due: Type.Optional(Time), day: Type.Optional(Type.String({ format: 'date' })) })
  app.post('/', { schema: { body } }, async (request) => request.body)
  const post = (payload: object) => app.inject({ method: 'POST', url: '/', payload })
  for (const due of ['2026-03-04T05:06:07Z', '2024-02-29T23:59:59.123456+14:00', '2026-03-04t05:06:07z'])
    t.same((await post({ due })).json(), { due })
  const refused = [
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:60Z',
    '2026-01-01T00:00:00',
    '0000-01-01T00:00:00Z',
    '2026-01-01T00:00:00+24:00',
    'now',
    'infinity',
    '',
  ]
  for (const due of refused) {
    const answer = await post({ due })
    t.equal(answer.statusCode, 422, due)
    t.match(answer.json(), { detail: [{ type: 'datetime_parsing', loc: ['body', 'due'] }] })
  }
  for (const day of ['2026-02-29', '0000-01-01', '2026-1-1', 'today'])
    t.match((await post({ day })).json(), { detail: [{ type: 'date_parsing', loc: ['body', 'day'] }] })
})
