import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { emptyDatabase, needsPostgres } from '../support/database.ts'
import { documentOf, lineOf, operationsOf } from '../support/document.ts'
import { filledIn } from '../support/filled-in.ts'
import { migrateUpTo } from '../support/migrate-up-to.ts'
import { type Person, type Request, startService } from '../support/service.ts'
import { volume } from '../support/volume.ts'

const message = 'Item deleted successfully'

void test('items', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { admin, call, rows } = service
  const [owner, other] = [await service.person(), await service.person()]
  const path = ({ id }: { id: string }) => `/items/${id}`
  const create = async (as: Person, body: object = {}) =>
    (await call('POST', '/items/', { as, body: { title: 'Engine', description: 'Brass', ...body } })).body
  const read = async (item: { id: string }) => (await call('GET', path(item), { as: admin })).body

  await t.test('a created item belongs to its creator and reads back unchanged', async (t) => {
    const body = { title: ' Ünïcode\n🦊 e\u0301 ', description: null }
    const answer = await call('POST', '/items/', { as: owner, body })
    const { id, created_at } = answer.body
    isAnswer(t, answer, 200, { id, ...body, owner_id: owner.id, created_at })
    t.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'the id is a UUID')
    t.equal(new Date(created_at).toISOString(), created_at, 'the time is ISO 8601 in UTC')
    t.ok(Math.abs(Date.now() - Date.parse(created_at)) < 60_000, 'and now')
    for (const way of [path({ id }), `${path({ id })}/`, path({ id: id.toUpperCase() })])
      isAnswer(t, await call('GET', way, { as: owner }), 200, answer.body, way)
    const bare = await call('POST', '/items', { as: owner, body: { title: 'x' } })
    t.equal(bare.body.description, null, 'a description is not needed, nor is the slash')
  })

  await t.test('an id without dashes in a path is the same id, and the answer has dashes', async (t) => {
    const item = await create(owner)
    const plain = item.id.replaceAll('-', '')
    const { headers, ...found } = await call('GET', path({ id: plain }), { as: owner })
    t.match(found, { status: 200, body: item })
    isAnswer(t, await call('GET', path({ id: plain.toUpperCase() }), { as: owner }), 200, item)
    const etag = String(headers.etag)
    const change = { as: owner, body: { title: 'Other' }, headers: { 'if-match': etag } }
    t.match(await call('PUT', path({ id: plain }), change), { status: 200, body: { id: item.id } })
    isAnswer(t, await call('GET', path({ id: plain }), { as: other }), 403, 'Not enough permissions')
    isAnswer(t, await call('DELETE', path({ id: plain }), { as: owner }), 200, { message })
    isAnswer(t, await call('GET', path({ id: plain }), { as: owner }), 404, 'Item not found')
    const user = await call('GET', `/users/${owner.id.replaceAll('-', '')}`, { as: owner })
    t.match(user, { status: 200, body: { id: owner.id } })
    for (const id of [
      plain.slice(1),
      `${plain}0`,
      `{${plain}}`,
      `urn:uuid:${item.id}`,
      item.id.replace('-', ''),
    ])
      t.equal((await call('GET', path({ id }), { as: owner })).status, 422, id)
  })

  await t.test(
    "another user's item is 403; its owner and superusers can read, change and delete it",
    async (t) => {
      const requests: [method: 'GET' | 'PUT' | 'DELETE', request: Request][] = [
        ['GET', {}],
        ['PUT', { body: { title: 'Taken' } }],
        ['DELETE', {}],
      ]
      for (const [method, request] of requests) {
        const item = await create(owner)
        const answer = (as: Person | undefined, id = item.id as string) =>
          call(method, path({ id }), { ...request, as })
        asksForToken(t, await answer(undefined), `${method} by nobody`)
        asksForToken(t, await answer(undefined, 'x'), `${method} by nobody of what is no id`)
        isAnswer(t, await answer(other), 403, 'Not enough permissions', `${method} by another`)
        t.strictSame(await read(item), item, `${method} by another changes nothing`)
        const expected =
          method === 'GET' ? item : method === 'PUT' ? { ...item, title: 'Taken' } : { message }
        isAnswer(t, await answer(owner), 200, expected, `${method} by the owner`)
        const again = await create(owner)
        t.equal((await answer(admin, again.id)).status, 200, `${method} by a superuser`)
        for (const as of [owner, other, admin])
          isAnswer(t, await answer(as, randomUUID()), 404, 'Item not found', `${method} of an unknown id`)
      }
      for (const method of ['GET', 'POST'] as const)
        asksForToken(t, await call(method, '/items/', { body: { title: 5 } }), `${method} by nobody`)
    },
  )

  await t.test('PUT changes the fields that are sent and keeps the rest', async (t) => {
    const item = await create(owner)
    const changes = [
      { title: 'New' },
      { description: 'Also new' },
      { description: null },
      {},
      { title: 'All', description: 'x' },
    ]
    for (const body of changes) {
      Object.assign(item, body)
      const answer = await call('PUT', path(item), { as: owner, body })
      isAnswer(t, answer, 200, item, JSON.stringify(body))
      t.strictSame(await read(item), item, 'and it is stored')
    }
  })

  await t.test('id, owner_id, created_at and unknown fields in a body are ignored', async (t) => {
    const reach = {
      id: randomUUID(),
      owner_id: other.id,
      created_at: '2000-01-01T00:00:00.000Z',
      is_superuser: true,
      unknown: 1,
    }
    const item = await create(owner, reach)
    t.strictSame(Object.keys(item), ['id', 'title', 'description', 'owner_id', 'created_at'])
    t.not(item.id, reach.id)
    t.equal(item.owner_id, owner.id)
    t.not(item.created_at, reach.created_at)
    isAnswer(t, await call('PUT', path(item), { as: owner, body: reach }), 200, item)
    t.strictSame(await read(item), item)
    const me = await call('GET', '/users/me', { as: owner })
    t.equal(me.body.is_superuser, false, 'and no superuser comes of it')
  })

  await t.test('an invalid item is 422 at its fields, and nothing of it is stored', async (t) => {
    const long = '🦊'.repeat(256)
    const wrong: [body: object, places: string[]][] = [
      [{ description: 'x' }, ['body.title']],
      [{ title: '' }, ['body.title']],
      [{ title: null, description: 5 }, ['body.description', 'body.title']],
      [{ title: long, description: long }, ['body.description', 'body.title']],
      [{ title: ['x'], description: { a: 1 } }, ['body.description', 'body.title']],
      [{ title: 'a\0b', description: '\ud83e' }, ['body.description', 'body.title']],
    ]
    const item = await create(owner)
    const { count } = (await call('GET', '/items/', { as: owner })).body
    for (const [body, places] of wrong) {
      const shown = JSON.stringify(body).slice(0, 60)
      isRefused(t, await call('POST', '/items/', { as: owner, body }), places, shown)
      if ('title' in body)
        isRefused(t, await call('PUT', path(item), { as: owner, body }), places, `PUT ${shown}`)
    }
    for (const method of ['GET', 'PUT', 'DELETE'] as const)
      for (const id of ['5', `urn:uuid:${item.id}`, `${item.id}x`, `{${item.id}}`, 'x'.repeat(300)])
        isRefused(
          t,
          await call(method, `/items/${id}`, { as: owner, body: {} }),
          ['path.id'],
          `${method} ${id}`,
        )
    t.strictSame(await read(item), item)
    t.equal((await call('GET', '/items/', { as: owner })).body.count, count)
    const fits = '🦊'.repeat(255)
    const longest = await call('PUT', path(item), { as: owner, body: { title: fits, description: fits } })
    isAnswer(t, longest, 200, { ...item, title: fits, description: fits }, '255 code points fit')
  })

  await t.test('a list is newest first, in pages that neither repeat nor lose a row', async (t) => {
    const reader = await service.person()
    isAnswer(t, await call('GET', '/items/', { as: reader }), 200, { data: [], count: 0, next_cursor: null })
    // All but the last have the same created_at.
    await rows(sql`
      insert into items (title, owner_id, created_at)
      select 'item ' || n, ${reader.id}, '2026-01-01T00:00:00Z'::timestamptz + case n when 7 then interval '1 ms' else '0' end
      from generate_series(1, 7) n`)
    const list = async (query: string, as = reader) => (await call('GET', `/items/?${query}`, { as })).body
    const all = await list('')
    t.equal(all.count, 7)
    t.equal(all.data[0].title, 'item 7', 'newest first')
    t.same(new Set(all.data.map(({ title }: { title: string }) => title)).size, 7)
    t.strictSame(Object.keys(all.data[0]), ['id', 'title', 'description', 'owner_id', 'created_at'])
    t.strictSame(await list('skip=0&limit=1000'), all, 'limit is at most 1000')
    const pages = await Promise.all([0, 3, 6].map((skip) => list(`skip=${skip}&limit=3`)))
    t.strictSame(
      pages.flatMap(({ data }) => data),
      all.data,
      'pages put together are the list',
    )
    t.same(
      pages.map(({ count }) => count),
      [7, 7, 7],
      'each page says how many there are',
    )
    for (const skip of ['7', '2147483647', '+7'])
      t.strictSame(
        await list(`skip=${encodeURIComponent(skip)}`),
        { data: [], count: 7, next_cursor: null },
        `skip=${skip}`,
      )
    t.equal((await list('limit=1')).data.length, 1)

    const everybodys = await list('limit=1000', admin)
    t.equal(everybodys.count, (await rows(sql`select from items`)).length, 'superusers see all')
    t.ok(new Set(everybodys.data.map(({ owner_id }: { owner_id: string }) => owner_id)).size > 1)
    t.ok((await list('', owner)).data.every(({ owner_id }: { owner_id: string }) => owner_id === owner.id))
  })

  await t.test('skip and limit that are no whole numbers within bounds are 422', async (t) => {
    for (const value of [
      '-1',
      '1.5',
      '0x10',
      '1e2',
      ' 5',
      '5 ',
      '',
      'abc',
      'null',
      '2147483648',
      '9'.repeat(30),
      '１',
    ])
      isRefused(
        t,
        await call('GET', `/items/?skip=${encodeURIComponent(value)}`, { as: owner }),
        ['query.skip'],
        value,
      )
    for (const value of ['0', '1001', '-5', 'NaN', 'Infinity', 'true'])
      isRefused(t, await call('GET', `/items/?limit=${value}`, { as: owner }), ['query.limit'], value)
    const both = await call('GET', '/items/?limit=0&skip=x&skip=1&unknown=1', { as: owner })
    isRefused(t, both, ['query.limit', 'query.skip'], 'both faults at once')
  })

  await t.test('an item deleted concurrently is 404, and a late PUT does not restore it', async (t) => {
    const item = await create(owner)
    const deletions = await Promise.all([1, 2, 3].map(() => call('DELETE', path(item), { as: owner })))
    const done = deletions.filter(({ status }) => status === 200)
    t.equal(done.length, 1, 'one of three deletions did it')
    for (const late of deletions.filter((one) => !done.includes(one)))
      isAnswer(t, late, 404, 'Item not found')
    const raced = await create(owner)
    const [deletion, change] = await Promise.all([
      call('DELETE', path(raced), { as: owner }),
      call('PUT', path(raced), { as: owner, body: { title: 'Late' } }),
    ])
    t.equal(deletion.status, 200)
    t.ok([200, 404].includes(change.status), `a change beside a deletion is ${change.status}`)
    isAnswer(t, await call('GET', path(raced), { as: owner }), 404, 'Item not found')
  })
})

void test('operation ids, paths and schema names of items stay as generated clients use them', async (t) => {
  const { app } = await startService(t)
  const document = documentOf(app)
  const told = operationsOf(document)
    .filter(({ operation }) => operation.tags.includes('items'))
    .map(lineOf)
  t.same(told.toSorted(), [
    'items-create_item POST /items/ T',
    'items-create_items POST /items/batch T',
    'items-delete_item DELETE /items/{id} T',
    'items-read_item GET /items/{id} T',
    'items-read_items GET /items/ T',
    'items-update_item PUT /items/{id} T',
  ])
  for (const name of ['ItemPublic', 'ItemCreate', 'ItemUpdate', 'ItemsPublic'])
    t.hasProp(document.components.schemas, name)
})

void test('an item can be created with the example of Swagger UI', async (t) => {
  const { app, call, admin } = await startService(t)
  const document = documentOf(app)
  const path = '/api/v1/items/'
  const body = filledIn(document, document.paths[path]!.post!)
  const { status, text } = await call('POST', path, { as: admin, body })
  t.equal(status, 200, text)
})

void test('an upgrade from 0.1.0 keeps items, and a replica of 0.1.0 can write more', async (t) => {
  const connection = await emptyDatabase()
  await migrateUpTo(t, connection, '0000_initial')
  const write0_1_0 = (email: string) =>
    connection.db.execute(sql`
      with account as (
        insert into users (email, hashed_password) values (${email}, 'cheap:') returning id
      )
      insert into items (title, description, owner_id) select 'Analytical Engine', null, id from account`)
  await write0_1_0('ada@example.com')
  const { admin, call } = await startService(t, {}, { connection })
  const item = { title: 'Analytical Engine', description: null }
  t.match((await call('GET', '/items/', { as: admin })).body, { count: 1, data: [item] })
  await write0_1_0('grace@example.com')
  t.match((await call('GET', '/items/', { as: admin })).body, { count: 2, data: [item, item] })
})

void test('a user with 300,000 items can be deleted', needsPostgres, async (t) => {
  const { connection, fill } = await volume(t)
  const { call, person } = await startService(t, {}, { connection })
  await fill`drop index items_search_index` // the slowest to fill, and no matter to deletion
  const [hoarder, other] = [await person(), await person()]
  const hoard = ({ id }: Person, many: number) => fill`
    insert into items (title, owner_id) select 'x', ${id} from generate_series(1, ${many}::int)`
  await hoard(hoarder, 300_000)
  await hoard(other, 3)
  isAnswer(t, await call('DELETE', '/users/me', { as: hoarder }), 200, {
    message: 'User deleted successfully',
  })
  const left = async ({ id }: Person) => {
    const [found] = await fill`
      select (select count(*) from items where owner_id = ${id})::int as items,
        (select count(*) from users where id = ${id})::int as users`
    return { ...found }
  }
  // Rows are removed in batches with pauses as long: a slow machine takes several times as long.
  for (const deadline = Date.now() + 600_000; (await left(hoarder)).users !== 0;) {
    if (Date.now() > deadline) throw new Error(`left: ${JSON.stringify(await left(hoarder))}`)
    await pause(200)
  }
  t.same(await left(hoarder), { items: 0, users: 0 })
  t.same(await left(other), { items: 3, users: 1 }, "nobody else's are")
})
