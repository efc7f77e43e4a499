import { Type } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { json, list, text } from '../../../src/ownership/fields.ts'
import { ownedTable } from '../../../src/ownership/owned-table.ts'
import { resource } from '../../../src/ownership/resource.ts'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { freshDatabase } from '../../support/database.ts'
import { startService } from '../../support/service.ts'
import { created, startWithSpecimens } from '../../support/specimens.ts'
import { createTables } from '../../support/tables.ts'

/** For each field a value, and how it is answered where that differs. */
const VALUES: Record<string, readonly [sent: unknown, shown?: unknown]> = {
  texts: [['a', '', ' ', 'null', 'NULL', '{}', 'a,b', '"', '\\', String.raw`\"\\`, '🦊', "'", 'a\nb']],
  ints: [[-10, 0, 1000]],
  decimals: [
    ['1', '-0.5', '99999999.9999'],
    ['1.0000', '-0.5000', '99999999.9999'],
  ],
  flags: [[true, false, true]],
  times: [
    ['2026-01-01T00:00:00.001Z', '2026-01-01T02:00:00+02:00'],
    ['2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.000Z'],
  ],
  days: [['2024-02-29', '9999-12-31']],
  choices: [['open', "won't do", 'null']],
  uuids: [['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b']],
  emails: [['ada@example.com', 'bob@example.com']],
  urls: [['https://example.com/?a=1,2', 'https://example.com/{}']],
  shapes: [[{ sides: 3 }, { sides: 4, name: String.raw`"\{},` }]],
  counts: [{ a: 1, 'b "c"': 2, owner_id: 3 }],
  anything: [{ a: [1, 'x', null, { b: true }], 'c\\"': 'd\\"' }],
  words: ['a "word"'],
  numbers: [[0.1, -5, 1e21]],
}

void test('lists and JSON', async (t) => {
  const service = await startWithSpecimens(t)
  const { call } = service
  const owner = await service.person()
  const post = (body: object, headers: Record<string, string> = {}) =>
    call('POST', '/assortments/', { as: owner, body, headers })
  const put = (id: string, body: object) => call('PUT', `/assortments/${id}`, { as: owner, body })
  const batch = (data: readonly object[], headers: Record<string, string> = {}) =>
    call('POST', '/assortments/batch', { as: owner, body: { data }, headers })

  for (const [field, [value, shown = value]] of Object.entries(VALUES)) {
    await t.test(`${field} read back as they were sent`, async (t) => {
      const answer = await post({ [field]: value })
      t.strictSame([answer.status, answer.body[field]], [200, shown], 'in the answer of a creation')
      const path = `/assortments/${answer.body.id}`
      t.strictSame((await call('GET', path, { as: owner })).body, answer.body, 'read')
      const list = await call('GET', '/assortments/?limit=1', { as: owner })
      t.strictSame(list.body.data, [answer.body], 'listed')
    })
    await t.test(`${field} read back as they were changed`, async (t) => {
      const row = await created(service, '/assortments/', owner, {})
      isAnswer(t, await put(row.id, { [field]: value }), 200, { ...row, [field]: shown })
      isAnswer(t, await put(row.id, { [field]: null }), 200, row, 'and null')
    })
    await t.test(`${field} of many rows at once read back as they were sent`, async (t) => {
      const { status, body } = await batch([{ [field]: value }, {}])
      t.equal(status, 200)
      t.strictSame([body.data[0][field], body.data[1][field]], [shown, null])
    })
    await t.test(`${field} are the same where a creation is repeated`, async (t) => {
      const headers = { 'idempotency-key': field }
      const first = await post({ [field]: value }, headers)
      t.strictSame([first.status, first.body[field]], [200, shown])
      t.equal((await post({ [field]: value }, headers)).text, first.text)
      const many = { 'idempotency-key': `many-${field}` }
      const all = await batch([{ [field]: value }], many)
      t.strictSame([all.status, all.body.data[0][field]], [200, shown])
      t.equal((await batch([{ [field]: value }], many)).text, all.text)
    })
  }

  await t.test('JSON of any kind is kept as it is', async (t) => {
    for (const anything of [
      {},
      [],
      'text',
      '"',
      'null',
      '5',
      '{"a":1}',
      0,
      false,
      true,
      [[]],
      { constructor_: 1 },
    ])
      t.strictSame((await post({ anything })).body.anything, anything, JSON.stringify(anything))
    t.equal((await post({ anything: null })).body.anything, null)
  })

  const wrong: Record<string, readonly [value: unknown, place: string][]> = {
    ints: [
      [[1, -11], 'ints.1'],
      [[1.5], 'ints.0'],
      [['1'], 'ints.0'],
      [[null], 'ints.0'],
      [5, 'ints'],
    ],
    decimals: [[['1', '1.23456'], 'decimals.1']],
    flags: [[['true'], 'flags.0']],
    times: [[['2026-02-30T00:00:00Z'], 'times.0']],
    days: [[['2026-02-30'], 'days.0']],
    uuids: [[['x'], 'uuids.0']],
    emails: [[['ada'], 'emails.0']],
    urls: [[['javascript:alert(1)'], 'urls.0']],
    shapes: [[[{ sides: 3 }, { sides: 1 }], 'shapes.1.sides']],
    counts: [[{ a: 'x' }, 'counts.a']],
    words: [[5, 'words']],
  }
  for (const [field, values] of Object.entries(wrong))
    await t.test(`a value that is none of ${field} is 422 at its place`, async (t) => {
      for (const [value, place] of values) {
        isRefused(t, await post({ [field]: value }), [`body.${place}`])
        isRefused(t, await batch([{}, { [field]: value }]), [`body.data.1.${place}`])
      }
    })

  await t.test('JSON that is nested too deeply is 422 at its field', async (t) => {
    const deep = JSON.parse(`${'['.repeat(600)}${']'.repeat(600)}`) as unknown
    isRefused(t, await post({ anything: deep }), ['body.anything'])
    const many = await batch([{}, { anything: deep }])
    t.equal(many.status, 422)
    t.equal((await post({ anything: JSON.parse(`${'['.repeat(400)}${']'.repeat(400)}`) })).status, 200)
  })
})

void test('a default may have quotes in it', async (t) => {
  const defaults = {
    words: `it's "so" \\`,
    texts: ['a', `it's`, 'b, "c" \\', '{}'],
    either: { kind: 'circle', name: `it's "so" \\` },
  }
  const quotes = ownedTable('quotes', {
    words: text(40, { default: defaults.words }),
    texts: list(text(20), { default: defaults.texts }),
    either: json(Type.Object({ kind: Type.String(), name: Type.String() }), { default: defaults.either }),
  })
  const connection = await freshDatabase()
  await createTables(connection.db, { quotes })
  const resources = [resource(quotes, { description: 'Only for tests.' })]
  const { admin, call, rows } = await startService(t, {}, { connection, resources })

  const { status, body } = await call('POST', '/quotes/', { as: admin, body: {} })
  t.match({ status, body }, { status: 200, body: defaults })
  const [written] = await rows<{ id: string }>(
    sql`insert into quotes (owner_id) values (${admin.id}) returning id`,
  )
  t.match((await call('GET', `/quotes/${written!.id}`, { as: admin })).body, defaults, 'also in the table')
})

void test('JSON that is one object or another is refused where it is declared', (t) => {
  const [circle, square] = [{ radius: Type.Integer() }, { side: Type.Integer() }].map((shape) =>
    Type.Object(shape),
  )
  t.throws(() => json(Type.Union([circle!, square!])), /one object with optional properties/)
  t.doesNotThrow(() => json(Type.Union([Type.String(), Type.Integer()])))
  t.doesNotThrow(
    () => json(Type.Object({ a: Type.Union([Type.String(), Type.Null()]), b: circle! })),
    'beside each other',
  )
  t.doesNotThrow(() => json(Type.Union([circle!, Type.Null()])), 'or nothing')
  t.end()
})
