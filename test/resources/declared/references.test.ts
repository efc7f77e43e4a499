import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { removal } from '../../../src/database/upkeep/removal.ts'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { documentOf, operationsOf } from '../../support/document.ts'
import { rounds } from '../../support/database.ts'
import type { Person } from '../../support/service.ts'
import { SPECIMEN, created, startWithSpecimens, tables } from '../../support/specimens.ts'

const STILL_REFERENCED = 'Other rows still refer to this one'

void test('references', async (t) => {
  const service = await startWithSpecimens(t)
  const { admin, call, rows } = service
  const [owner, other] = [await service.person(), await service.person()]
  const make = (path: string, body: object, as: Person = owner) => created(service, path, as, body)
  const [drawer, others] = [
    await make('/drawers/', { title: 'Top' }),
    await make('/drawers/', { title: 'Theirs' }, other),
  ]
  const specimen = { ...SPECIMEN, drawer_id: drawer.id }
  const post = (body: object, as: Person = owner) => call('POST', '/specimens/', { as, body })
  const put = (id: string, body: object, as: Person = owner) => call('PUT', `/specimens/${id}`, { as, body })
  const batch = (data: readonly object[], as: Person = owner) =>
    call('POST', '/specimens/batch', { as, body: { data } })
  const read = async (path: string, as: Person = owner) => (await call('GET', path, { as })).body
  const countOf = async () => (await rows(sql`select from specimens`)).length

  await t.test("a row may refer to one's own", async (t) => {
    const row = await make('/specimens/', specimen)
    t.equal(row.drawer_id, drawer.id)
    const second = await make('/drawers/', { title: 'Second' })
    isAnswer(t, await put(row.id, { drawer_id: second.id, drawer_id_or_null: drawer.id }), 200, {
      ...row,
      drawer_id: second.id,
      drawer_id_or_null: drawer.id,
    })
    const many = await batch([specimen, { ...specimen, drawer_id: second.id, drawer_id_or_null: drawer.id }])
    t.match(many.body.data, [
      { drawer_id: drawer.id },
      { drawer_id: second.id, drawer_id_or_null: drawer.id },
    ])
  })

  for (const field of ['drawer_id', 'drawer_id_or_null'])
    await t.test(`${field} of another's row and of one that is not there are refused alike`, async (t) => {
      const row = await make('/specimens/', specimen)
      const before = await countOf()
      const headers = { 'idempotency-key': randomUUID() }
      const withKey = (body: object) => call('POST', '/specimens/', { as: owner, body, headers })
      const refer = [
        ['body', (id: string) => post({ ...specimen, [field]: id })],
        ['body', (id: string) => withKey({ ...specimen, [field]: id })],
        ['body', (id: string) => put(row.id, { [field]: id })],
        ['body.data', (id: string) => batch([specimen, { ...specimen, [field]: id }])],
      ] as const
      for (const [place, write] of refer) {
        const [foreign, unknown] = [await write(others.id), await write(randomUUID())]
        isRefused(t, foreign, [`${place}.${field}`])
        t.strictSame([foreign.status, foreign.text], [unknown.status, unknown.text], 'byte for byte')
        t.same(
          Object.keys(foreign.headers).toSorted(),
          Object.keys(unknown.headers).toSorted(),
          'nor by a header',
        )
        isRefused(t, await write('00000000-0000-0000-0000-000000000000'), [`${place}.${field}`])
      }
      t.strictSame(await read(`/specimens/${row.id}`), row, 'nothing is changed')
      t.equal(await countOf(), before, 'and nothing stored')
      t.equal((await withKey(specimen)).status, 200, 'and the key is free')
    })

  await t.test("superusers may refer to anybody's row", async (t) => {
    t.match((await post(specimen, admin)).body, { drawer_id: drawer.id, owner_id: admin.id })
    const row = await make('/specimens/', specimen)
    t.match((await put(row.id, { drawer_id: others.id }, admin)).body, {
      drawer_id: others.id,
      owner_id: owner.id,
    })
    t.equal((await batch([specimen, { ...specimen, drawer_id: others.id }], admin)).status, 200)
    isRefused(t, await post({ ...specimen, drawer_id: randomUUID() }, admin), ['body.drawer_id'])
    t.equal((await put(row.id, { text: 'x' })).status, 200, 'which its owner does not have to send again')
    isRefused(t, await put(row.id, { drawer_id: others.id }), ['body.drawer_id'], 'and may not')
  })

  await t.test("a row of a deleted user can't be referred to", async (t) => {
    const gone = await service.person()
    const theirs = await make('/drawers/', { title: 'x' }, gone)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    isRefused(t, await post({ ...specimen, drawer_id: theirs.id }, admin), ['body.drawer_id'])
  })

  await t.test('a user who is there can be referred to, and one who is not is 422', async (t) => {
    const chore = await make('/chores/', { title: 'x', assignee_id: other.id })
    t.equal(chore.assignee_id, other.id)
    const gone = await service.person()
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    for (const assignee_id of [gone.id, randomUUID()]) {
      isRefused(t, await call('POST', '/chores/', { as: owner, body: { title: 'x', assignee_id } }), [
        'body.assignee_id',
      ])
      isRefused(t, await call('PUT', `/chores/${chore.id}`, { as: owner, body: { assignee_id } }), [
        'body.assignee_id',
      ])
    }
  })

  await t.test('rows that a expedition is shared with may refer to it', async (t) => {
    const reader = await service.person()
    const expedition = await make('/expeditions/', { title: 'Shared' })
    const refer = () =>
      call('POST', '/chores/', { as: reader, body: { title: 'x', expedition_id: expedition.id } })
    isRefused(t, await refer(), ['body.expedition_id'])
    await make('/companions/', { expedition_id: expedition.id, user_id: reader.id })
    t.match((await refer()).body, { expedition_id: expedition.id, owner_id: reader.id })
  })

  await t.test(
    'of a deletion and a reference at once, one is refused, or the row goes with the other',
    async (t) => {
      for (let round = 0; round < rounds(100, 5); round++) {
        const { id } = await make('/drawers/', { title: 'x' })
        const references = [
          post({ ...specimen, drawer_id: id }),
          batch([specimen, { ...specimen, drawer_id: id }]),
          call('DELETE', `/drawers/${id}`, { as: owner }),
          post({ ...specimen, drawer_id_or_null: id }),
        ]
        const [one, many, deletion, optional] = await Promise.all(references)
        t.equal(deletion!.status, 200)
        for (const { status } of [one!, many!, optional!])
          t.ok(status === 200 || status === 422, `is ${status}`)
        t.same(
          await rows(sql`select id from specimens where drawer_id = ${id} or drawer_id_or_null = ${id}`),
          [],
        )
      }
    },
  )

  await t.test('deleting a row takes along what belongs to it', async (t) => {
    const { id } = await make('/drawers/', { title: 'x' })
    const row = await make('/specimens/', { ...specimen, drawer_id: id })
    t.equal((await call('DELETE', `/drawers/${id}`, { as: owner })).status, 200)
    isAnswer(t, await call('GET', `/specimens/${row.id}`, { as: owner }), 404, 'Specimen not found')
  })

  await t.test('deleting a row makes references null that may be', async (t) => {
    const { id } = await make('/drawers/', { title: 'x' })
    const row = await make('/specimens/', { ...specimen, drawer_id_or_null: id })
    const chore = await make('/chores/', { title: 'blocker' })
    const blocked = await make('/chores/', { title: 'blocked', blocker_id: chore.id })
    t.equal((await call('DELETE', `/drawers/${id}`, { as: owner })).status, 200)
    t.equal((await call('DELETE', `/chores/${chore.id}`, { as: owner })).status, 200)
    t.strictSame(await read(`/specimens/${row.id}`), { ...row, drawer_id_or_null: null })
    t.strictSame(await read(`/chores/${blocked.id}`), { ...blocked, blocker_id: null })
  })

  await t.test('a row that others need is 409 to delete, until they are gone', async (t) => {
    const row = await make('/specimens/', specimen)
    const borrowing = await make('/borrowings/', { specimen_id: row.id })
    const remove = () => call('DELETE', `/specimens/${row.id}`, { as: owner })
    isAnswer(t, await remove(), 409, STILL_REFERENCED)
    t.strictSame(await read(`/specimens/${row.id}`), row, 'it is still there')
    isAnswer(t, await call('DELETE', `/specimens/${row.id}`, { as: other }), 403, 'Not enough permissions')
    await call('DELETE', `/borrowings/${borrowing.id}`, { as: owner })
    t.equal((await remove()).status, 200)

    const parent = await make('/chores/', { title: 'parent' })
    const child = await make('/chores/', { title: 'child', parent_id: parent.id })
    isAnswer(
      t,
      await call('DELETE', `/chores/${parent.id}`, { as: owner }),
      409,
      STILL_REFERENCED,
      'of its own table',
    )
    await call('PUT', `/chores/${child.id}`, { as: owner, body: { parent_id: null } })
    t.equal((await call('DELETE', `/chores/${parent.id}`, { as: owner })).status, 200)
  })

  await t.test('a row whose own rows others need is 409 to delete', async (t) => {
    const { id } = await make('/drawers/', { title: 'x' })
    const row = await make('/specimens/', { ...specimen, drawer_id: id })
    await make('/borrowings/', { specimen_id: row.id })
    isAnswer(t, await call('DELETE', `/drawers/${id}`, { as: owner }), 409, STILL_REFERENCED)
    t.strictSame(await read(`/specimens/${row.id}`), row)
  })

  await t.test('the document names 409 where a deletion may be refused', (t) => {
    const refusing = operationsOf(documentOf(service.app))
      .filter(
        ({ method, path }) =>
          method === 'DELETE' &&
          /^\/api\/v1\/(drawers|specimens|borrowings|expeditions|companions|chores|telegrams|fallbacks|papers)\//.test(
            path,
          ),
      )
      .filter(({ operation }) =>
        JSON.stringify(operation.responses['409'] ?? '').includes('still_referenced'),
      )
      .map(({ path }) => path.split('/')[3]!)
    const expected = new Set(['drawers', 'expeditions', 'specimens', 'chores'])
    t.same(new Set(refusing), expected, 'also where it is those of its own rows')
    t.end()
  })

  await t.test('a deleted user goes, with rows that need each other', async (t) => {
    const gone = await service.person()
    const { id } = await make('/drawers/', { title: 'x' }, gone)
    const row = await make('/specimens/', { ...specimen, drawer_id: id }, gone)
    await make('/borrowings/', { specimen_id: row.id }, gone)
    const parent = await make('/chores/', { title: 'parent' }, gone)
    await make('/chores/', { title: 'child', parent_id: parent.id }, gone)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    await removal(service.app.db, Object.values(tables)).ofUser(gone.id, new AbortController().signal)
    t.same(await rows(sql`select id from users where id = ${gone.id}`), [])
  })

  await t.test('a deleted user goes, with more such rows than are removed at once', async (t) => {
    const gone = await service.person()
    await rows(sql`
      with recursive made as (
        select 1 as n, gen_random_uuid() as id, null::uuid as parent
        union all select n + 1, gen_random_uuid(), id from made where n < 1500
      )
      insert into chores (id, title, parent_id, owner_id) select id, 'x', parent, ${gone.id}::uuid from made order by n`)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    await removal(service.app.db, Object.values(tables)).ofUser(gone.id, new AbortController().signal)
    t.same(await rows(sql`select id from users where id = ${gone.id}`), [])
  })

  await t.test("a deleted user goes, although others' rows need theirs", async (t) => {
    const gone = await service.person()
    const { id } = await make('/drawers/', { title: 'x' }, gone)
    const row = await make('/specimens/', { ...specimen, drawer_id: id }, gone)
    await make('/borrowings/', { specimen_id: row.id }, admin)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    await removal(service.app.db, Object.values(tables)).ofUser(gone.id, new AbortController().signal)
    t.same(await rows(sql`select id from users where id = ${gone.id}`), [])
  })

  await t.test('the list of a parent has its rows alone', async (t) => {
    const [expedition, second] = [
      await make('/expeditions/', { title: 'a' }),
      await make('/expeditions/', { title: 'b' }),
    ]
    const chore = (title: string, expedition_id: string, more: object = {}) =>
      make('/chores/', { title, expedition_id, ...more })
    for (const title of ['Paint', 'polish', 'oil', 'Pack'])
      await chore(title, expedition.id, { done: title === 'oil' })
    await chore('elsewhere', second.id)
    await make('/chores/', { title: 'nowhere' })
    const list = async (query = '', as: Person = owner) =>
      (await call('GET', `/expeditions/${expedition.id}/chores/${query}`, { as })).body
    const titles = ({ data }: { data: { title: string }[] }) => data.map(({ title }) => title)

    t.same(titles(await list('?sort=title')), ['oil', 'Pack', 'Paint', 'polish'])
    t.equal((await list()).count, 4)
    t.same(titles(await list('?sort=-title&q=P')), ['polish', 'Paint', 'Pack'])
    t.same(titles(await list('?sort=title&done=false&limit=2')), ['Pack', 'Paint'])
    t.same(titles(await list('?sort=title&done=true')), ['oil'])
    const first = await list('?sort=title&limit=3')
    const next = await list(`?sort=title&limit=3&cursor=${first.next_cursor}`)
    t.same([...titles(first), ...titles(next)], ['oil', 'Pack', 'Paint', 'polish'])
    t.equal(next.next_cursor, null)
    t.same(
      titles(await list(`?expedition_id=${second.id}&sort=title`)),
      ['oil', 'Pack', 'Paint', 'polish'],
      'whatever is asked for beside',
    )
    t.same(titles(await list('?sort=title', admin)), ['oil', 'Pack', 'Paint', 'polish'], 'for superusers too')
    t.equal(
      (await call('GET', `/expeditions/${expedition.id.toUpperCase()}/chores`, { as: owner })).body.count,
      4,
    )
    isRefused(
      t,
      await call('GET', `/expeditions/${second.id}/chores/?sort=title&cursor=${first.next_cursor}`, {
        as: owner,
      }),
      ['query.cursor'],
      'a cursor of another parent',
    )
  })

  await t.test("the list of another's parent is 403, and of one that is not there 404", async (t) => {
    const expedition = await make('/expeditions/', { title: 'a' })
    isAnswer(
      t,
      await call('GET', `/expeditions/${expedition.id}/chores/`, { as: other }),
      403,
      'Not enough permissions',
    )
    isAnswer(
      t,
      await call('GET', `/expeditions/${randomUUID()}/chores/`, { as: other }),
      404,
      'Expedition not found',
    )
    isRefused(t, await call('GET', '/expeditions/x/chores/', { as: other }), ['path.id'])
    t.equal((await call('GET', `/expeditions/${expedition.id}/chores/`)).status, 401)
    t.equal((await call('GET', `/drawers/${drawer.id}/specimens/?limit=1`, { as: owner })).status, 200)
    isAnswer(
      t,
      await call('GET', `/drawers/${drawer.id}/specimens/`, { as: other }),
      403,
      'Not enough permissions',
    )
  })

  await t.test("a shared parent's list has the rows that one may read", async (t) => {
    const reader = await service.person()
    const expedition = await make('/expeditions/', { title: 'Shared' })
    await make('/companions/', { expedition_id: expedition.id, user_id: reader.id })
    await make('/chores/', { title: 'hidden', expedition_id: expedition.id })
    await make('/chores/', { title: 'assigned', expedition_id: expedition.id, assignee_id: reader.id })
    await make('/chores/', { title: 'own', expedition_id: expedition.id }, reader)
    const list = async (as: Person) =>
      (await call('GET', `/expeditions/${expedition.id}/chores/?sort=title`, { as })).body
    t.match(await list(reader), { data: [{ title: 'assigned' }, { title: 'own' }], count: 2 })
    t.match(await list(owner), { data: [{ title: 'assigned' }, { title: 'hidden' }], count: 2 })
    t.match(await list(admin), { count: 3 })
  })
})
