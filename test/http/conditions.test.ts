import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { keyring } from '../../src/config/secrets/keys.ts'
import { versionTags } from '../../src/ownership/version-tags.ts'
import { isAnswer } from '../support/answers.ts'
import { freshDatabase, rounds } from '../support/database.ts'
import { documentOf } from '../support/document.ts'
import { type Person, startService } from '../support/service.ts'

const STALE = 'Precondition Failed'

void test('conditional requests', async (t) => {
  const connection = await freshDatabase()
  const service = await startService(t, {}, { connection })
  const { admin, call, rows } = service
  const [owner, other] = [await service.person(), await service.person()]

  async function create(title = 'Engine') {
    const { body, headers } = await call('POST', '/papers/', { as: owner, body: { title } })
    return { path: `/papers/${body.id}`, id: String(body.id), tag: String(headers.etag) }
  }
  const get = (path: string, known?: string, as = owner) =>
    call('GET', path, { as, ...(known !== undefined && { headers: { 'if-none-match': known } }) })
  const put = (path: string, match: string, title = 'x', as: Person = owner) =>
    call('PUT', path, { as, body: { title }, headers: { 'if-match': match } })
  const remove = (path: string, match: string, as: Person = owner) =>
    call('DELETE', path, { as, headers: { 'if-match': match } })

  await t.test('each answer with one paper has an ETag, which changes when the paper does', async (t) => {
    const { path, tag, id } = await create()
    t.match(tag, /^"[^"]+"$/, 'a strong tag')
    t.equal((await get(path)).headers.etag, tag, 'reading changes nothing')
    t.equal((await get(path, undefined, admin)).headers.etag, tag, 'everybody is told the same')
    const changed = await call('PUT', path, { as: owner, body: { title: 'Loom' } })
    t.not(changed.headers.etag, tag)
    t.equal((await get(path)).headers.etag, changed.headers.etag)
    await rows(sql`update papers set title = 'Loom' where id = ${id}`)
    t.not((await get(path)).headers.etag, changed.headers.etag, 'what another program wrote is a new version')
    for (const answer of [
      await call('GET', '/papers/', { as: owner }),
      await get(path, undefined, other),
      await call('DELETE', path, { as: owner }),
    ])
      t.notOk('etag' in answer.headers, 'no paper, no tag')
  })

  await t.test('If-None-Match with the current ETag is 304 without a body', async (t) => {
    const { path, tag } = await create()
    for (const known of [tag, `W/${tag}`, '*', ` "a", W/"b" ,${tag}`, `"a,b",${tag}`]) {
      const answer = await get(path, known)
      t.strictSame([answer.status, answer.text], [304, ''], known)
      t.equal(answer.headers.etag, tag)
      t.notOk('content-type' in answer.headers)
      t.equal((await call('HEAD', path, { as: owner, headers: { 'if-none-match': known } })).status, 304)
    }
    for (const known of ['"another"', tag.slice(1, -1), '', 'W/', '"', `"x${tag.slice(1)}`])
      isAnswer(t, await get(path, known), 200, (await get(path)).body, known)
    isAnswer(
      t,
      await get(path, '*', other),
      403,
      'Not enough permissions',
      'nobody learns what is not theirs',
    )
    await call('PUT', path, { as: owner, body: { title: 'Changed' } })
    t.equal((await get(path, tag)).status, 200)
  })

  await t.test('PUT and DELETE with a stale If-Match are 412 and change nothing', async (t) => {
    const { path, tag } = await create()
    for (const stale of [
      '"1"',
      tag.slice(1, -1),
      '"a", "b"',
      '',
      `"${tag.slice(1, -1)},1"`,
      '"1\' or true"',
    ]) {
      isAnswer(t, await put(path, stale), 412, STALE, stale)
      isAnswer(t, await remove(path, stale), 412, STALE, stale)
    }
    t.equal((await get(path)).headers.etag, tag, 'nothing was written')
    const changed = await put(path, `"1", W/"2", ${tag}`, 'Changed')
    t.equal(changed.status, 200)
    isAnswer(t, await put(path, tag, 'Lost'), 412, STALE, 'the version before is no longer there')
    isAnswer(t, await remove(path, tag), 412, STALE)
    t.equal((await put(path, '*', 'Any')).status, 200)
    const { etag } = (await put(path, String((await get(path)).headers.etag), 'By admin', admin)).headers
    t.equal((await get(path)).body.title, 'By admin')
    isAnswer(t, await remove(path, String(etag)), 200, { message: 'Paper deleted successfully' })
  })

  await t.test('an ETag that a compressing proxy weakened or suffixed still matches', async (t) => {
    const gzip = (tag: string) => tag.replace(/"$/, '-gzip"')
    const byJetty = (tag: string) => tag.replace(/"$/, '--gzip"')
    for (const byProxy of [(tag: string) => `W/${tag}`, gzip, (tag: string) => `W/${gzip(tag)}`, byJetty]) {
      const { path, tag } = await create()
      t.equal((await get(path, byProxy(tag))).status, 304)
      const changed = await put(path, byProxy(tag), 'Changed')
      t.equal(changed.status, 200, byProxy(tag))
      isAnswer(t, await put(path, byProxy(tag), 'Lost'), 412, STALE, 'and stale all the same')
      isAnswer(t, await remove(path, byProxy(String(changed.headers.etag))), 200, {
        message: 'Paper deleted successfully',
      })
    }
  })

  await t.test('an ETag does not reveal the transaction id of PostgreSQL', async (t) => {
    const { path, id, tag } = await create()
    const [row] = await rows<{ xmin: string }>(sql`select xmin::text from papers where id = ${id}`)
    const { xmin } = row!
    t.notMatch(tag, xmin)
    // All 4 bytes of it: fewer digits could be in any 16 bytes by chance.
    const four = Number(xmin).toString(16).padStart(8, '0')
    t.notMatch(Buffer.from(tag.slice(1, -1), 'base64url').toString('hex'), four)
    isAnswer(t, await put(path, `"${xmin}"`), 412, STALE, 'nor does the number itself match')

    const both = (await rows<{ id: string }>(sql`
      insert into papers (title, owner_id) select 'At once', ${owner.id} from generate_series(1, 2) returning id`)) as [
      { id: string },
      { id: string },
    ]
    const [first, second] = await Promise.all(both.map(({ id }) => get(`/papers/${id}`)))
    t.not(first!.headers.etag, second!.headers.etag, 'rows of one transaction have nothing in common')
    isAnswer(t, await put(`/papers/${both[1].id}`, String(first!.headers.etag)), 412, STALE)
  })

  await t.test('an ETag is valid at every replica and after a restart', async (t) => {
    const { path, tag } = await create()
    const replica = await startService(t, {}, { connection: { ...connection, close: async () => undefined } })
    const as = await replica.again(owner)
    t.equal((await replica.call('GET', path, { as })).headers.etag, tag)
    const body = { title: 'There' }
    const { status } = await replica.call('PUT', path, { as, body, headers: { 'if-match': tag } })
    t.equal(status, 200)
  })

  await t.test('403 and 404 come before 412, whatever If-Match says', async (t) => {
    const { path, tag } = await create()
    for (const match of [tag, '"1"', '*']) {
      isAnswer(t, await put(path, match, 'x', other), 403, 'Not enough permissions')
      isAnswer(t, await remove(path, match, other), 403, 'Not enough permissions')
    }
    await call('DELETE', path, { as: owner })
    for (const match of [tag, '"1"', '*']) {
      isAnswer(t, await put(path, match), 404, 'Paper not found')
      isAnswer(t, await remove(path, match), 404, 'Paper not found')
    }
  })

  await t.test('of concurrent writes with the same If-Match, exactly one succeeds', async (t) => {
    for (let round = 0; round < rounds(50, 3); round++) {
      const { path, tag } = await create()
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, n) =>
          n === 5 && round % 2 === 1
            ? remove(path, tag)
            : put(path, tag, `writer ${n}`, n % 2 ? admin : owner),
        ),
      )
      const done = answers.filter(({ status }) => status === 200)
      const deleted = done.some(({ body }) => 'message' in body)
      const refused = answers.filter((answer) => !done.includes(answer)).map(({ status }) => status)
      t.equal(done.length, 1, `round ${round}: one is done`)
      t.ok(
        refused.every((status) => status === 412 || (deleted && status === 404)),
        `the others are told: ${refused.join()}`,
      )
      if (!deleted) t.strictSame((await get(path)).body, done[0]!.body, 'and it is what is there')
    }
  })

  await t.test('CORS lets a frontend send If-Match and If-None-Match and read the ETag', async (t) => {
    const app = (await startService(t, { FRONTEND_HOST: 'https://app.example.com' })).call
    const { status, headers } = await app('OPTIONS', '/papers/', {
      headers: {
        origin: 'https://app.example.com',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'authorization,if-match,if-none-match,idempotency-key',
      },
    })
    t.equal(status, 204)
    t.match(headers['access-control-allow-headers'], /if-match,if-none-match,idempotency-key/)
    const answer = await app('GET', '/papers/', { headers: { origin: 'https://app.example.com' } })
    t.match(answer.headers['access-control-expose-headers'], /\bETag\b/)
  })

  await t.test('openapi.json documents If-Match, If-None-Match, ETag and 412', async (t) => {
    const path = documentOf(service.app).paths['/api/v1/papers/{id}']!
    const headersOf = (verb: string) =>
      path[verb]!.parameters!.filter((one) => one.in === 'header').map(({ name, required }) => [
        name,
        required,
      ])
    t.same(headersOf('get'), [['If-None-Match', false]])
    t.same(headersOf('put'), [['If-Match', false]])
    t.same(headersOf('delete'), [['If-Match', false]])
    for (const verb of ['get', 'put']) t.hasProp(path[verb]!.responses['200']!.headers ?? {}, 'ETag')
    t.notOk(path.delete!.responses['200']!.headers)
    for (const verb of ['put', 'delete']) t.hasProp(path[verb]!.responses, '412')
  })
})

void test('of many ETags in one header, only those of the requested row count', (t) => {
  const tags = versionTags(keyring({ SECRET_KEY: 'only for tests, and long enough for that' }))
  const row = (n: number) => ({
    table: 'papers',
    id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  })
  const written = Array.from({ length: 1290 }, (_, n) => tags.write({ ...row(n), version: String(n) })[0])
  t.strictSame(tags.read([...written, 'x', ''], row(7)), ['7'], 'none of another row, or made up')
  t.end()
})
