import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { limits } from '../../src/config/limits.ts'
import { isAnswer, isRefused, refusesToken } from '../support/answers.ts'
import { onPostgres, rounds } from '../support/database.ts'
import { documentOf } from '../support/document.ts'
import { letPass, limited, retryAfter } from '../support/limits.ts'
import { type Person, startService } from '../support/service.ts'

void test('Idempotency-Key', async (t) => {
  const service = await startService(t)
  const { admin, call, rows } = service
  const owner = await service.person()
  const create = (
    key: string,
    body: unknown = { title: 'Engine', description: 'Brass' },
    as: Person = owner,
  ) => call('POST', '/papers/', { as, body, headers: { 'idempotency-key': key } })
  const countOf = async ({ id }: Person) =>
    (await rows(sql`select from papers where owner_id = ${id}`)).length
  const makeOlder = (age: string) =>
    rows(sql`update idempotency_keys set created_at = created_at - ${age}::text::interval`)

  await t.test('a creation repeated with its key gets the same answer and makes no second row', async (t) => {
    const key = randomUUID()
    const before = await countOf(owner)
    const first = await create(key)
    t.equal(first.status, 200)
    t.match(first.body, { title: 'Engine', description: 'Brass', owner_id: owner.id })
    const again = await create(key)
    isAnswer(t, again, 200, first.body)
    t.equal(again.text, first.text, 'to the letter')
    t.equal(again.headers.etag, first.headers.etag)
    t.equal((await call('GET', `/papers/${first.body.id}`, { as: owner })).headers.etag, first.headers.etag)
    t.equal(await countOf(owner), before + 1)
    isAnswer(
      t,
      await create(key, { description: 'Brass', title: 'Engine', unknown: 1 }),
      200,
      first.body,
      'the same fields',
    )
    await makeOlder('23 hours')
    isAnswer(t, await create(key), 200, first.body, 'within a day')
  })

  await t.test('a repeat gets the first answer even if the row was changed or deleted', async (t) => {
    const key = 'with "quotes", and % signs'.replaceAll(' ', '_')
    const first = await create(key, { title: '🦊' })
    const path = `/papers/${first.body.id}`
    await call('PUT', path, { as: owner, body: { title: 'Changed' } })
    isAnswer(t, await create(key, { title: '🦊', description: null }), 200, first.body)
    await call('DELETE', path, { as: owner })
    isAnswer(t, await create(key, { title: '🦊' }), 200, first.body)
    isAnswer(t, await call('GET', path, { as: owner }), 404, 'Paper not found', 'and it does not come back')
  })

  await t.test('a key that was used with another body is 422', async (t) => {
    const key = randomUUID()
    await create(key)
    const before = await countOf(owner)
    for (const body of [{ title: 'Engine' }, { title: 'engine', description: 'Brass' }]) {
      const refused = await create(key, body)
      isRefused(t, refused, ['header.idempotency-key'])
      t.match(refused.body.detail[0], { type: 'value_error', msg: 'Value was used with another body' })
    }
    isRefused(t, await create(key, { title: '' }), ['body.title'], 'what is wrong anyway is said first')
    t.equal(await countOf(owner), before)
  })

  await t.test('a key belongs to one user, and expires after a day', async (t) => {
    const key = randomUUID()
    const first = await create(key)
    const others = await create(key, { title: 'Mine' }, admin)
    t.equal(others.status, 200)
    t.not(others.body.id, first.body.id)
    await makeOlder('24 hours 1 second')
    const next = await create(key, { title: 'Next day' })
    t.equal(next.body.title, 'Next day')
    isAnswer(t, await create(key, { title: 'Next day' }), 200, next.body)
    for (let n = 0; n < 10; n++) await create(randomUUID())
    const old = await rows(sql`select from idempotency_keys where created_at < now() - interval '1 day'`)
    t.same(old, [], 'those that are over are not kept')
    const stored = JSON.stringify(await rows(sql`select key, body from idempotency_keys`))
    t.notMatch(stored, key, 'and none is kept in clear')
  })

  await t.test('a malformed key is 422 at its header; without a key each POST makes a row', async (t) => {
    for (const key of ['', 'x'.repeat(256), 'a b', 'é', '\t', 'a\u007f'])
      isRefused(t, await create(key), ['header.idempotency-key'], JSON.stringify(key))
    t.equal((await create('!'.repeat(254) + '~')).status, 200)
    const both = await create('a b', { title: 5 })
    t.equal(both.status, 422)
    const before = await countOf(owner)
    await call('POST', '/papers/', { as: owner, body: { title: 'x' } })
    await call('POST', '/papers/', { as: owner, body: { title: 'x' } })
    t.equal(await countOf(owner), before + 2)
  })

  await t.test('20 concurrent creations with one key make one row, and all get its answer', async (t) => {
    for (let round = 0; round < rounds(50, 2); round++) {
      const key = randomUUID()
      // In half of the rounds the key has expired.
      if (round % 2) {
        await create(key, { title: 'yesterday' })
        await makeOlder('25 hours')
      }
      const before = await countOf(owner)
      const answers = await Promise.all(Array.from({ length: 20 }, () => create(key)))
      t.ok(
        answers.every(({ status, text }) => status === 200 && text === answers[0]!.text),
        `round ${round}`,
      )
      t.equal(await countOf(owner), before + 1)
    }
    const key = randomUUID()
    const mixed = await Promise.all(Array.from({ length: 20 }, (_, n) => create(key, { title: `${n % 2}` })))
    const made = mixed.filter(({ status }) => status === 200)
    t.equal(made.length, 10, 'one of two bodies has the key')
    t.equal(new Set(made.map(({ body }) => body.id)).size, 1)
    t.ok(mixed.every(({ status }) => status === 200 || status === 422))
  })

  await t.test(
    'expired keys that are reused concurrently do not deadlock',
    { skip: !onPostgres },
    async (t) => {
      const names = Array.from({ length: 10 }, () => randomUUID())
      for (let round = 0; round < 20; round++) {
        await Promise.all(names.map((key) => create(key)))
        await makeOlder('25 hours')
      }
      const answers = await Promise.all(names.map((key) => create(key)))
      t.ok(answers.every(({ status }) => status === 200))
    },
  )

  await t.test('deleting a user deletes their keys', async (t) => {
    const gone = await service.person()
    await create('k', { title: 'x' }, gone)
    await call('DELETE', '/users/me', { as: gone })
    refusesToken(t, await create('k', { title: 'x' }, gone))
    t.same(await rows(sql`select from idempotency_keys where user_id = ${gone.id}`), [])
  })

  await t.test('openapi.json documents the Idempotency-Key header', async (t) => {
    const parameters = documentOf(service.app).paths['/api/v1/papers/']!.post!.parameters
    t.match(parameters, [{ name: 'Idempotency-Key', in: 'header', required: false }])
  })
})

void test('creations with a key are rate-limited, so that a user has at most 200,000 keys stored', async (t) => {
  const service = await startService(t, limited)
  const [ada, bob] = [await service.person(), await service.person()]
  const create = (as: Person) =>
    service.call('POST', '/papers/', {
      as,
      body: { title: 'x' },
      headers: { 'idempotency-key': randomUUID() },
    })
  const keys = async () =>
    (await service.rows(sql`select from idempotency_keys where user_id = ${ada.id}`)).length
  const { burst, every } = limits.idempotency_keys

  t.equal((await create(ada)).status, 200)
  await service.rows(sql`update rate_limits set
    forgotten_at = forgotten_at + make_interval(secs => ${burst * every}::double precision)`)
  // Concurrently, as within a second there is room again.
  const both = await Promise.all([create(ada), create(ada)])
  t.same(new Set(both.map(({ status }) => status)), new Set([200, 429]))
  const refused = both.find(({ status }) => status === 429)!
  isAnswer(t, refused, 429, 'Too many requests')
  t.equal(await keys(), 2)
  const { status } = await service.call('POST', '/papers/', { as: ada, body: { title: 'x' } })
  t.equal(status, 200, 'without a key')
  t.equal((await create(bob)).status, 200)
  await letPass(service, retryAfter(refused))
  t.equal((await create(ada)).status, 200, 'later')
  t.ok(burst + 86_400 / every <= 200_000, 'as many are kept at most, as each is for a day')
})
