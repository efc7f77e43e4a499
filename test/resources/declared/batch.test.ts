import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { rounds } from '../../support/database.ts'
import { documentOf } from '../../support/document.ts'
import type { Person } from '../../support/service.ts'
import { SPECIMEN, created, startWithSpecimens } from '../../support/specimens.ts'

const FULL = 'The limit of rows for one user is reached'
const MOST = 1_200

void test('many rows at once', async (t) => {
  const service = await startWithSpecimens(t, { MAX_ROWS_PER_USER: String(MOST) })
  const { call, rows } = service
  const batch = (
    as: Person | undefined,
    data: unknown,
    headers: Record<string, string> = {},
    path = '/drawers/batch',
  ) => call('POST', path, { as, body: { data }, headers })
  const titled = (count: number, prefix = '') =>
    Array.from({ length: count }, (_, n) => ({ title: `${prefix}${n}` }))
  const titlesIn = (body: { data: { title: string }[] }) => body.data.map(({ title }) => title)
  const countOf = async ({ id }: Person) =>
    (await rows(sql`select from drawers where owner_id = ${id}`)).length

  await t.test('rows are answered in the order in which they were sent', async (t) => {
    const owner = await service.person()
    const sent = titled(50)
    const { status, body } = await batch(owner, sent)
    t.equal(status, 200)
    t.same(
      titlesIn(body),
      sent.map(({ title }) => title),
    )
    t.strictSame(Object.keys(body), ['data'])
    t.strictSame(Object.keys(body.data[0]), ['id', 'title', 'owner_id', 'created_at'])
    t.equal(new Set(body.data.map(({ id }: { id: string }) => id)).size, 50)
    t.ok(body.data.every(({ owner_id }: { owner_id: string }) => owner_id === owner.id))
    const stored = await call('GET', '/drawers/?limit=1000', { as: owner })
    t.same(
      new Set(stored.body.data.map((row: object) => JSON.stringify(row))),
      new Set(body.data.map((row: object) => JSON.stringify(row))),
    )
  })

  await t.test('1,000 rows are taken, 1,001 and none are 422', async (t) => {
    const owner = await service.person()
    isRefused(t, await batch(owner, titled(1_001)), ['body.data'])
    isRefused(t, await batch(owner, []), ['body.data'])
    t.equal(await countOf(owner), 0)
    const { status, body } = await batch(owner, titled(1_000))
    t.equal(status, 200)
    t.same(
      titlesIn(body),
      titled(1_000).map(({ title }) => title),
    )
    t.equal(await countOf(owner), 1_000)
  })

  await t.test('of rows one of which is refused, none is stored', async (t) => {
    const owner = await service.person()
    isRefused(t, await batch(owner, [...titled(2), { title: 5 }, {}]), [
      'body.data.2.title',
      'body.data.3.title',
    ])
    isRefused(t, await batch(owner, [...titled(2), null]), ['body.data.2'])
    isRefused(t, await batch(owner, [...titled(2), { title: 'a\0b' }]), ['body.data.2.title'])
    isRefused(t, await batch(owner, 'x'), ['body.data'])
    isRefused(t, await call('POST', '/drawers/batch', { as: owner, body: {} }), ['body.data'])
    isRefused(t, await call('POST', '/drawers/batch', { as: owner, body: titled(2) }), ['body'])
    t.equal(await countOf(owner), 0)
  })

  await t.test('id, owner_id, created_at and unknown fields are ignored', async (t) => {
    const [owner, other] = [await service.person(), await service.person()]
    const reach = { id: randomUUID(), owner_id: other.id, created_at: '2000-01-01T00:00:00.000Z', unknown: 1 }
    const { body } = await batch(owner, [{ title: 'x', ...reach }])
    t.strictSame(Object.keys(body.data[0]), ['id', 'title', 'owner_id', 'created_at'])
    t.match(body.data[0], { owner_id: owner.id })
    t.not(body.data[0].id, reach.id)
    t.not(body.data[0].created_at, reach.created_at)
  })

  await t.test('the quota takes all rows or none', async (t) => {
    const owner = await service.person()
    await batch(owner, titled(1_000))
    isAnswer(t, await batch(owner, titled(MOST - 1_000 + 1)), 403, FULL)
    t.equal(await countOf(owner), 1_000)
    t.equal((await batch(owner, titled(MOST - 1_000))).status, 200)
    t.equal(await countOf(owner), MOST)
    isAnswer(t, await batch(owner, titled(1)), 403, FULL)
    isAnswer(t, await call('POST', '/drawers/', { as: owner, body: { title: 'x' } }), 403, FULL)
    await rows(
      sql`delete from drawers where id in (select id from drawers where owner_id = ${owner.id} limit 2)`,
    )
    isAnswer(t, await batch(owner, titled(3)), 403, FULL)
    t.equal((await batch(owner, titled(2))).status, 200, 'deletion makes room')
  })

  await t.test('batches and single rows at once do not exceed the quota', async (t) => {
    const owner = await service.person()
    await batch(owner, titled(1_000))
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        n % 4 ? call('POST', '/drawers/', { as: owner, body: { title: 'x' } }) : batch(owner, titled(30)),
      ),
    )
    t.ok(answers.every(({ status }) => status === 200 || status === 403))
    t.ok((await countOf(owner)) <= MOST, `${await countOf(owner)} rows`)
  })

  await t.test('a batch repeated with its key gives the same rows and stores none', async (t) => {
    const owner = await service.person()
    const headers = { 'idempotency-key': randomUUID() }
    const first = await batch(owner, titled(30), headers)
    const again = await batch(owner, titled(30), headers)
    t.equal(first.status, 200)
    t.equal(again.text, first.text, 'to the telegram')
    t.same(
      titlesIn(again.body),
      titled(30).map(({ title }) => title),
    )
    t.equal(await countOf(owner), 30)
    await call('DELETE', `/drawers/${first.body.data[0].id}`, { as: owner })
    t.equal((await batch(owner, titled(30), headers)).text, first.text, 'as it was, whatever became of them')
    t.equal(await countOf(owner), 29)
  })

  await t.test("a batch's key with another body is 422", async (t) => {
    const owner = await service.person()
    const headers = { 'idempotency-key': randomUUID() }
    await batch(owner, titled(3), headers)
    for (const data of [titled(2), titled(4), titled(3).toReversed(), titled(3, 'x')])
      isRefused(t, await batch(owner, data, headers), ['header.idempotency-key'])
    t.equal(await countOf(owner), 3)
    t.equal(
      (await batch(await service.person(), titled(2), headers)).status,
      200,
      "another's key is another one",
    )
  })

  await t.test('a key of a batch is another one than that of a single row', async (t) => {
    const owner = await service.person()
    const single = (headers: Record<string, string>) =>
      call('POST', '/drawers/', { as: owner, body: { title: '0' }, headers })
    const [one, two] = [{ 'idempotency-key': randomUUID() }, { 'idempotency-key': randomUUID() }]
    t.equal((await single(one)).status, 200)
    t.equal((await batch(owner, titled(1), one)).status, 200, 'the batch after the row')
    t.equal((await batch(owner, titled(1), two)).status, 200)
    t.equal((await single(two)).status, 200, 'the row after the batch')
    t.equal(await countOf(owner), 4)
  })

  await t.test('batches with one key at once make one set of rows', async (t) => {
    for (let round = 0; round < rounds(30, 2); round++) {
      const owner = await service.person()
      const headers = { 'idempotency-key': randomUUID() }
      const answers = await Promise.all(Array.from({ length: 6 }, () => batch(owner, titled(20), headers)))
      t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
      t.equal(new Set(answers.map(({ text }) => text)).size, 1)
      t.equal(await countOf(owner), 20)
    }
  })

  await t.test('a key whose batch was refused is free', async (t) => {
    const owner = await service.person()
    const headers = { 'idempotency-key': randomUUID() }
    const key = (data: unknown) => batch(owner, data, headers, '/specimens/batch')
    const drawer = await created(service, '/drawers/', owner, { title: 'x' })
    isRefused(t, await key([{ ...SPECIMEN, drawer_id: randomUUID() }]), ['body.data.drawer_id'])
    t.equal((await key([{ ...SPECIMEN, drawer_id: drawer.id }])).status, 200)
  })

  await t.test('at the quota, a repeated batch gets its first answer', async (t) => {
    const owner = await service.person()
    await batch(owner, titled(900))
    const headers = { 'idempotency-key': randomUUID() }
    const first = await batch(owner, titled(300), headers)
    t.equal(first.status, 200)
    t.equal((await batch(owner, titled(300), headers)).text, first.text)
    isAnswer(t, await batch(owner, titled(300), { 'idempotency-key': randomUUID() }), 403, FULL)
  })

  await t.test('a body of a mebibyte is taken, and a larger one is 413', async (t) => {
    const owner = await service.person()
    const sized = (bytes: number) => {
      const text = JSON.stringify({ data: [{ title: 'x' }] })
      return call('POST', '/drawers/batch', {
        as: owner,
        body: text + ' '.repeat(bytes - text.length),
        headers: { 'content-type': 'application/json' },
      })
    }
    t.equal((await sized(1024 * 1024)).status, 200)
    isAnswer(t, await sized(1024 * 1024 + 1), 413, 'Payload Too Large')
    t.equal(await countOf(owner), 1)
    isAnswer(
      t,
      await call('POST', '/drawers/', { as: owner, body: { title: 'x'.repeat(40_000) } }),
      413,
      'Payload Too Large',
      'single rows have the usual limit',
    )
  })

  await t.test('rows of a batch refer to rows', async (t) => {
    const [owner, other] = [await service.person(), await service.person()]
    const made = await batch(owner, titled(3))
    const ids = (made.body.data as { id: string }[]).map(({ id }) => id)
    const data = ids.toReversed().map((drawer_id) => specimenIn(drawer_id))
    const { body } = await batch(owner, data, {}, '/specimens/batch')
    t.same(
      body.data.map(({ drawer_id }: { drawer_id: string }) => drawer_id),
      ids.toReversed(),
    )
    isRefused(t, await batch(other, data, {}, '/specimens/batch'), ['body.data.drawer_id'])
  })

  await t.test('nobody is let in without a token', async (t) => {
    t.equal((await batch(undefined, titled(1))).status, 401)
  })

  await t.test('the document has the bounds of a batch', (t) => {
    const document = documentOf(service.app)
    t.match(document.components.schemas.DrawersCreate, {
      properties: { data: { minItems: 1, maxItems: 1_000 } },
    })
    t.match(document.paths['/api/v1/drawers/batch'], { post: { responses: { 413: {}, 403: {} } } })
    t.end()
  })
})

const specimenIn = (drawer_id: string) => ({ ...SPECIMEN, drawer_id })
