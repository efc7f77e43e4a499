import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { documentOf } from '../../support/document.ts'
import type { Person } from '../../support/service.ts'
import { created, startWithSpecimens } from '../../support/specimens.ts'

const FORBIDDEN = 'Not enough permissions'

void test('shared rows', async (t) => {
  const service = await startWithSpecimens(t)
  const { admin, call, rows } = service
  const [owner, reader, stranger] = [await service.person(), await service.person(), await service.person()]
  const make = (path: string, body: object, as: Person = owner) => created(service, path, as, body)
  const put = (path: string, body: object, as: Person, headers: Record<string, string> = {}) =>
    call('PUT', path, { as, body, headers })
  const stored = async (path: string) => (await call('GET', path, { as: admin })).body
  const list = async (path: string, as: Person) => (await call('GET', path, { as })).body
  const chore = async (body: object = {}) => {
    const row = await make('/chores/', { title: 'Oil', assignee_id: reader.id, ...body })
    return { row, path: `/chores/${row.id}` }
  }

  await t.test('a reader reads a row and lists it, and neither changes nor deletes it', async (t) => {
    const telegram = await make('/telegrams/', { text: 'To you', recipient_id: reader.id })
    const path = `/telegrams/${telegram.id}`
    isAnswer(t, await call('GET', path, { as: reader }), 200, telegram)
    t.strictSame(await list('/telegrams/', reader), { data: [telegram], count: 1, next_cursor: null })
    for (const body of [{}, { text: 'x' }, { recipient_id: null }])
      isAnswer(t, await put(path, body, reader), 403, FORBIDDEN, `PUT ${JSON.stringify(body)}`)
    isAnswer(t, await call('DELETE', path, { as: reader }), 403, FORBIDDEN)
    t.strictSame(await stored(path), telegram)
    isAnswer(
      t,
      await put(path, { text: 'Changed' }, owner),
      200,
      { ...telegram, text: 'Changed' },
      'its owner does',
    )
  })

  await t.test('companions of a expedition read it', async (t) => {
    const expedition = await make('/expeditions/', { title: 'Shared' })
    const path = `/expeditions/${expedition.id}`
    isAnswer(t, await call('GET', path, { as: reader }), 403, FORBIDDEN)
    const companion = await make('/companions/', { expedition_id: expedition.id, user_id: reader.id })
    isAnswer(t, await call('GET', path, { as: reader }), 200, expedition)
    t.strictSame(await list('/expeditions/', reader), { data: [expedition], count: 1, next_cursor: null })
    isAnswer(t, await put(path, { title: 'x' }, reader), 403, FORBIDDEN)
    isAnswer(t, await call('DELETE', path, { as: reader }), 403, FORBIDDEN)
    isAnswer(t, await call('GET', path, { as: stranger }), 403, FORBIDDEN)
    t.equal((await list('/expeditions/', stranger)).count, 0)
    isRefused(
      t,
      await call('POST', '/companions/', {
        as: stranger,
        body: { expedition_id: expedition.id, user_id: stranger.id },
      }),
      ['body.expedition_id'],
      'nobody makes themselves a companion',
    )
    await call('DELETE', `/companions/${companion.id}`, { as: owner })
    isAnswer(t, await call('GET', path, { as: reader }), 403, FORBIDDEN, 'no companion any more')
    t.equal((await list('/expeditions/', reader)).count, 0)
  })

  await t.test('an assignee says that a chore is done, and changes nothing else', async (t) => {
    const { row, path } = await chore()
    isAnswer(t, await put(path, { done: true }, reader), 200, { ...row, done: true })
    isAnswer(t, await put(path, { done: false }, reader), 200, row)
    isAnswer(t, await put(path, {}, reader), 200, row, 'nothing at all')
    const forbidden = [
      { title: 'x' },
      { title: 'x', done: true },
      { title: row.title },
      { assignee_id: null },
      { assignee_id: stranger.id, done: true },
      { expedition_id: null, done: true },
      { code: 'x' },
      { parent_id: null },
    ]
    for (const body of forbidden)
      isAnswer(t, await put(path, body, reader), 403, FORBIDDEN, JSON.stringify(body))
    isAnswer(t, await call('DELETE', path, { as: reader }), 403, FORBIDDEN)
    t.strictSame(await stored(path), row)
    isAnswer(
      t,
      await put(path, { owner_id: reader.id, unknown: 1, done: true }, reader),
      200,
      { ...row, done: true },
      'fields that there are not don’t count',
    )
    isRefused(t, await put(path, { done: 'yes' }, reader), ['body.done'])
  })

  await t.test('the owner and superusers change every field', async (t) => {
    const { row, path } = await chore()
    isAnswer(t, await put(path, { title: 'x', done: true, code: 'c' }, owner), 200, {
      ...row,
      title: 'x',
      done: true,
      code: 'c',
    })
    isAnswer(t, await put(path, { assignee_id: null }, admin), 200, {
      ...row,
      title: 'x',
      done: true,
      code: 'c',
      assignee_id: null,
    })
  })

  await t.test('If-Match holds for assignees, too', async (t) => {
    const { row, path } = await chore()
    const first = await call('GET', path, { as: reader })
    const etag = String(first.headers.etag)
    const changed = await put(path, { done: true }, reader, { 'if-match': etag })
    isAnswer(t, changed, 200, { ...row, done: true })
    isAnswer(t, await put(path, { done: false }, reader, { 'if-match': etag }), 412, 'Precondition Failed')
    isAnswer(
      t,
      await put(path, { title: 'x' }, reader, { 'if-match': etag }),
      403,
      FORBIDDEN,
      'what they may not is said first',
    )
    isAnswer(
      t,
      await call('DELETE', path, { as: reader, headers: { 'if-match': String(changed.headers.etag) } }),
      403,
      FORBIDDEN,
    )
    isAnswer(t, await put(path, { done: false }, stranger, { 'if-match': etag }), 403, FORBIDDEN)
    t.strictSame(await stored(path), { ...row, done: true })
    t.equal(
      (await call('GET', path, { as: reader, headers: { 'if-none-match': String(changed.headers.etag) } }))
        .status,
      304,
    )
  })

  await t.test("an assignee's list has their own and the shared chores, counted and in order", async (t) => {
    const [one, two] = [await service.person(), await service.person()]
    for (const title of ['b', 'd', 'f']) await make('/chores/', { title }, one)
    for (const title of ['a', 'c', 'e'])
      await make('/chores/', { title, assignee_id: one.id, done: title === 'c' }, two)
    await make('/chores/', { title: 'both', assignee_id: one.id }, one)
    await make('/chores/', { title: 'theirs' }, two)
    await make('/chores/', { title: 'foreign', assignee_id: stranger.id }, two)
    const titles = async (query: string) => {
      const { data, count } = await list(`/chores/?${query}`, one)
      return [count, ...(data as { title: string }[]).map(({ title }) => title)]
    }
    t.same(await titles('sort=title'), [7, 'a', 'b', 'both', 'c', 'd', 'e', 'f'])
    t.same(await titles('sort=-title&limit=2'), [7, 'f', 'e'])
    t.same(await titles('sort=title&skip=5'), [7, 'e', 'f'])
    t.same(await titles(`sort=title&assignee_id=${one.id}`), [4, 'a', 'both', 'c', 'e'])
    t.same(await titles(`sort=title&assignee_id=${stranger.id}`), [0])
    t.same(await titles('sort=title&done=true'), [1, 'c'])
    t.same(await titles('sort=title&q=o'), [1, 'both'])
    t.same(await titles('sort=title&q=f'), [1, 'f'], 'a search finds no foreign one')
    const met: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const page = await list(`/chores/?sort=title&limit=2${cursor && `&cursor=${cursor}`}`, one)
      met.push(...(page.data as { title: string }[]).map(({ title }) => title))
      cursor = page.next_cursor as string | null
    }
    t.same(met, ['a', 'b', 'both', 'c', 'd', 'e', 'f'])
  })

  await t.test('strangers do not see what is shared with others', async (t) => {
    const { row, path } = await chore()
    isAnswer(t, await call('GET', path, { as: stranger }), 403, FORBIDDEN)
    isAnswer(t, await put(path, { done: true }, stranger), 403, FORBIDDEN)
    isAnswer(t, await call('DELETE', path, { as: stranger }), 403, FORBIDDEN)
    t.notOk(
      (await list('/chores/?limit=1000', stranger)).data.some(({ id }: { id: string }) => id === row.id),
    )
    t.strictSame(await stored(path), row)
  })

  await t.test('an assignee who is removed loses access at once', async (t) => {
    const { path } = await chore()
    t.equal((await call('GET', path, { as: reader })).status, 200)
    await put(path, { assignee_id: stranger.id }, owner)
    isAnswer(t, await call('GET', path, { as: reader }), 403, FORBIDDEN)
    isAnswer(t, await put(path, { done: true }, reader), 403, FORBIDDEN)
    t.equal((await put(path, { done: true }, stranger)).status, 200, 'and the next has it')
    await put(path, { assignee_id: null }, owner)
    isAnswer(t, await call('GET', path, { as: stranger }), 403, FORBIDDEN)
  })

  await t.test('a removal beside a change: the change is made before it, or is 403', async (t) => {
    for (let round = 0; round < 10; round++) {
      const { path } = await chore()
      const [, change] = await Promise.all([
        put(path, { assignee_id: null }, owner),
        put(path, { done: true }, reader),
      ])
      t.same((await stored(path)).done, change.status === 200, `the change is ${change.status}`)
      t.ok([200, 403].includes(change.status))
    }
  })

  await t.test('a chore of a deleted owner is shared with nobody', async (t) => {
    const gone = await service.person()
    const before = await list('/chores/', reader)
    const row = await make('/chores/', { title: 'x', assignee_id: reader.id }, gone)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    isAnswer(t, await call('GET', `/chores/${row.id}`, { as: reader }), 404, 'Chore not found')
    isAnswer(t, await put(`/chores/${row.id}`, { done: true }, reader), 404, 'Chore not found')
    const after = await list('/chores/?limit=1000', reader)
    t.notOk(
      after.data.some(({ id }: { id: string }) => id === row.id),
      'nor in the list',
    )
    t.equal(after.count, before.count, 'nor counted')
  })

  await t.test('a shared row does not count for the quota of whom it is shared with', async (t) => {
    const before = await rows(sql`select from chores where owner_id = ${reader.id}`)
    await chore()
    t.equal((await rows(sql`select from chores where owner_id = ${reader.id}`)).length, before.length)
  })

  await t.test('the document says who else may read and change', (t) => {
    const { paths } = documentOf(service.app)
    t.match(paths['/api/v1/chores/']!.get!.description, /shared with/)
    t.match(paths['/api/v1/chores/{id}']!.put!.description, /`done` alone/)
    t.notMatch(paths['/api/v1/drawers/']!.get!.description, /shared with/)
    t.end()
  })
})
