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
  const task = async (body: object = {}) => {
    const row = await make('/tasks/', { title: 'Oil', assignee_id: reader.id, ...body })
    return { row, path: `/tasks/${row.id}` }
  }

  await t.test('a reader reads a row and lists it, and neither changes nor deletes it', async (t) => {
    const letter = await make('/letters/', { text: 'To you', recipient_id: reader.id })
    const path = `/letters/${letter.id}`
    isAnswer(t, await call('GET', path, { as: reader }), 200, letter)
    t.strictSame(await list('/letters/', reader), { data: [letter], count: 1, next_cursor: null })
    for (const body of [{}, { text: 'x' }, { recipient_id: null }])
      isAnswer(t, await put(path, body, reader), 403, FORBIDDEN, `PUT ${JSON.stringify(body)}`)
    isAnswer(t, await call('DELETE', path, { as: reader }), 403, FORBIDDEN)
    t.strictSame(await stored(path), letter)
    isAnswer(
      t,
      await put(path, { text: 'Changed' }, owner),
      200,
      { ...letter, text: 'Changed' },
      'its owner does',
    )
  })

  await t.test('members of a project read it', async (t) => {
    const project = await make('/projects/', { title: 'Shared' })
    const path = `/projects/${project.id}`
    isAnswer(t, await call('GET', path, { as: reader }), 403, FORBIDDEN)
    const member = await make('/members/', { project_id: project.id, user_id: reader.id })
    isAnswer(t, await call('GET', path, { as: reader }), 200, project)
    t.strictSame(await list('/projects/', reader), { data: [project], count: 1, next_cursor: null })
    isAnswer(t, await put(path, { title: 'x' }, reader), 403, FORBIDDEN)
    isAnswer(t, await call('DELETE', path, { as: reader }), 403, FORBIDDEN)
    isAnswer(t, await call('GET', path, { as: stranger }), 403, FORBIDDEN)
    t.equal((await list('/projects/', stranger)).count, 0)
    isRefused(
      t,
      await call('POST', '/members/', {
        as: stranger,
        body: { project_id: project.id, user_id: stranger.id },
      }),
      ['body.project_id'],
      'nobody makes themselves a member',
    )
    await call('DELETE', `/members/${member.id}`, { as: owner })
    isAnswer(t, await call('GET', path, { as: reader }), 403, FORBIDDEN, 'no member any more')
    t.equal((await list('/projects/', reader)).count, 0)
  })

  await t.test('an assignee says that a task is done, and changes nothing else', async (t) => {
    const { row, path } = await task()
    isAnswer(t, await put(path, { done: true }, reader), 200, { ...row, done: true })
    isAnswer(t, await put(path, { done: false }, reader), 200, row)
    isAnswer(t, await put(path, {}, reader), 200, row, 'nothing at all')
    const forbidden = [
      { title: 'x' },
      { title: 'x', done: true },
      { title: row.title },
      { assignee_id: null },
      { assignee_id: stranger.id, done: true },
      { project_id: null, done: true },
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
    const { row, path } = await task()
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
    const { row, path } = await task()
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

  await t.test("an assignee's list has their own and the shared tasks, counted and in order", async (t) => {
    const [one, two] = [await service.person(), await service.person()]
    for (const title of ['b', 'd', 'f']) await make('/tasks/', { title }, one)
    for (const title of ['a', 'c', 'e'])
      await make('/tasks/', { title, assignee_id: one.id, done: title === 'c' }, two)
    await make('/tasks/', { title: 'both', assignee_id: one.id }, one)
    await make('/tasks/', { title: 'theirs' }, two)
    await make('/tasks/', { title: 'foreign', assignee_id: stranger.id }, two)
    const titles = async (query: string) => {
      const { data, count } = await list(`/tasks/?${query}`, one)
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
      const page = await list(`/tasks/?sort=title&limit=2${cursor && `&cursor=${cursor}`}`, one)
      met.push(...(page.data as { title: string }[]).map(({ title }) => title))
      cursor = page.next_cursor as string | null
    }
    t.same(met, ['a', 'b', 'both', 'c', 'd', 'e', 'f'])
  })

  await t.test('strangers do not see what is shared with others', async (t) => {
    const { row, path } = await task()
    isAnswer(t, await call('GET', path, { as: stranger }), 403, FORBIDDEN)
    isAnswer(t, await put(path, { done: true }, stranger), 403, FORBIDDEN)
    isAnswer(t, await call('DELETE', path, { as: stranger }), 403, FORBIDDEN)
    t.notOk((await list('/tasks/?limit=1000', stranger)).data.some(({ id }: { id: string }) => id === row.id))
    t.strictSame(await stored(path), row)
  })

  await t.test('an assignee who is removed loses access at once', async (t) => {
    const { path } = await task()
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
      const { path } = await task()
      const [, change] = await Promise.all([
        put(path, { assignee_id: null }, owner),
        put(path, { done: true }, reader),
      ])
      t.same((await stored(path)).done, change.status === 200, `the change is ${change.status}`)
      t.ok([200, 403].includes(change.status))
    }
  })

  await t.test('a task of a deleted owner is shared with nobody', async (t) => {
    const gone = await service.person()
    const before = await list('/tasks/', reader)
    const row = await make('/tasks/', { title: 'x', assignee_id: reader.id }, gone)
    await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    isAnswer(t, await call('GET', `/tasks/${row.id}`, { as: reader }), 404, 'Task not found')
    isAnswer(t, await put(`/tasks/${row.id}`, { done: true }, reader), 404, 'Task not found')
    const after = await list('/tasks/?limit=1000', reader)
    t.notOk(
      after.data.some(({ id }: { id: string }) => id === row.id),
      'nor in the list',
    )
    t.equal(after.count, before.count, 'nor counted')
  })

  await t.test('a shared row does not count for the quota of whom it is shared with', async (t) => {
    const before = await rows(sql`select from tasks where owner_id = ${reader.id}`)
    await task()
    t.equal((await rows(sql`select from tasks where owner_id = ${reader.id}`)).length, before.length)
  })

  await t.test('the document says who else may read and change', (t) => {
    const { paths } = documentOf(service.app)
    t.match(paths['/api/v1/tasks/']!.get!.description, /shared with/)
    t.match(paths['/api/v1/tasks/{id}']!.put!.description, /`done` alone/)
    t.notMatch(paths['/api/v1/drawers/']!.get!.description, /shared with/)
    t.end()
  })
})
