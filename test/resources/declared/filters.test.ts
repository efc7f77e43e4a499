import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { documentOf } from '../../support/document.ts'
import type { Person } from '../../support/service.ts'
import { SPECIMEN, created, startWithSpecimens } from '../../support/specimens.ts'

type Query = Record<string, string | number | readonly string[]>

interface Page {
  data: { id: string; text: string }[]
  count: number
  next_cursor: string | null
}

void test('filters', async (t) => {
  const service = await startWithSpecimens(t)
  const { admin, call } = service
  const get = (query: Query, as: Person, path = '/specimens/') => {
    const pairs = Object.entries(query).flatMap(([name, values]) =>
      [values].flat().map((value): [string, string] => [name, String(value)]),
    )
    return call('GET', `${path}?${new URLSearchParams(pairs).toString()}`, { as })
  }
  const list = async (query: Query, as: Person) => {
    const { status, body, text } = await get(query, as)
    if (status !== 200) throw new Error(`${JSON.stringify(query)} is ${status}: ${text}`)
    return body as Page
  }
  /** Texts of the rows that are found, in order. */
  const found = async (query: Query, as: Person) => {
    const { data, count } = await list({ sort: 'text', limit: 1000, ...query }, as)
    t.equal(count, data.length, `${JSON.stringify(query)}: counted is what is found`)
    return data.map(({ text }) => text)
  }
  const drawerOf = async (owner: Person) => (await created(service, '/drawers/', owner, { title: 'Top' })).id
  /** A person with these specimens. */
  async function personWith(bodies: readonly object[]) {
    const owner = await service.person()
    const drawer_id = await drawerOf(owner)
    const data = bodies.map((body) => ({ ...SPECIMEN, drawer_id, ...body }))
    isAnswer(
      t,
      { ...(await call('POST', '/specimens/batch', { as: owner, body: { data } })), body: null },
      200,
      null,
    )
    return owner
  }

  const uuids = [1, 2, 3].map((n) => `${n}0000000-0000-4000-8000-00000000000a`)
  const owner = await personWith([
    {
      text: 'a',
      int: -10,
      decimal: '-1.5',
      flag: true,
      time: '2026-01-01T00:00:00.000Z',
      day: '2026-01-01',
      one_of: 'open',
      uuid: uuids[0],
      email: 'a@example.com',
    },
    {
      text: 'b',
      int: 0,
      decimal: '10',
      flag: false,
      time: '2026-01-01T00:00:00.001Z',
      day: '2026-02-01',
      one_of: "won't do",
      uuid: uuids[1],
      email: 'b@example.com',
      text_or_null: 'B',
      int_or_null: 2,
      decimal_or_null: '2',
      flag_or_null: false,
      time_or_null: '2026-02-02T00:00:00Z',
      day_or_null: '2026-02-02',
      one_of_or_null: 'done',
      uuid_or_null: uuids[2],
      email_or_null: 'bb@example.com',
    },
    {
      text: 'c',
      int: 1000,
      decimal: '9',
      flag: true,
      time: '2026-03-01T00:00:00.000Z',
      day: '2026-03-01',
      one_of: 'null',
      uuid: uuids[2],
      email: 'c@example.com',
      text_or_null: 'C',
      int_or_null: 3,
      decimal_or_null: '3',
      flag_or_null: true,
      time_or_null: '2026-03-03T00:00:00Z',
      day_or_null: '2026-03-03',
      one_of_or_null: 'open',
      uuid_or_null: uuids[0],
      email_or_null: 'cc@example.com',
    },
  ])

  const values: [kind: string, value: string, other: string, none: string][] = [
    ['text', 'a', 'c', 'A'],
    ['int', '-10', '1000', '5'],
    ['decimal', '-1.5000', '9', '9.0001'],
    ['time', '2026-01-01T01:00:00+01:00', '2026-03-01T00:00:00Z', '2026-01-01T00:00:00.002Z'],
    ['day', '2026-01-01', '2026-03-01', '2026-01-02'],
    ['one_of', 'open', 'null', 'done'],
    ['uuid', uuids[0]!, uuids[2]!.toUpperCase(), randomUUID()],
    ['email', 'a@example.com', 'c@example.com', 'A@example.com'],
  ]
  for (const [kind, value, other, none] of values)
    await t.test(`rows with one ${kind}, or with one of several`, async (t) => {
      t.same(await found({ [kind]: value }, owner), ['a'])
      t.same(await found({ [kind]: [value, other] }, owner), ['a', 'c'])
      t.same(await found({ [kind]: [other, value, other, none] }, owner), ['a', 'c'], 'each once')
      t.same(await found({ [kind]: none }, owner), [])
    })

  await t.test('rows with a flag, and without it', async (t) => {
    t.same(await found({ flag: 'true' }, owner), ['a', 'c'])
    t.same(await found({ flag: 'false' }, owner), ['b'])
    t.same(await found({ flag: ['0', '1'] }, owner), ['a', 'b', 'c'])
    t.same(await found({ flag_or_null: 'false' }, owner), ['b'], 'null is not false')
  })

  const ranges: [kind: string, edge: string][] = [
    ['int', '0'],
    ['decimal', '9'],
    ['time', '2026-01-01T00:00:00.001Z'],
    ['day', '2026-02-01'],
  ]
  for (const [kind, edge] of ranges)
    await t.test(`rows in a range of ${kind}`, async (t) => {
      // In the order of the decimals, b (10) is last.
      const [below, at, above] = kind === 'decimal' ? ['a', 'c', 'b'] : ['a', 'b', 'c']
      t.same(await found({ [`${kind}[lt]`]: edge }, owner), [below])
      t.same(await found({ [`${kind}[lte]`]: edge }, owner), [below, at].toSorted())
      t.same(await found({ [`${kind}[gt]`]: edge }, owner), [above])
      t.same(await found({ [`${kind}[gte]`]: edge }, owner), [at, above].toSorted())
      t.same(await found({ [`${kind}[gte]`]: edge, [`${kind}[lte]`]: edge }, owner), [at])
      t.same(await found({ [`${kind}[gt]`]: edge, [`${kind}[lt]`]: edge }, owner), [])
      t.same(await found({ [`${kind}_or_null[lte]`]: edge, [`${kind}_or_null[null]`]: 'true' }, owner), [])
    })

  await t.test('brackets may be sent as they are, or encoded', async (t) => {
    for (const name of ['int[gte]', 'int%5Bgte%5D', 'int%5bgte]']) {
      const { body } = await call('GET', `/specimens/?${name}=0&sort=text`, { as: owner })
      t.match(body, { data: [{ text: 'b' }, { text: 'c' }], count: 2 }, name)
    }
  })

  await t.test('a range has no rows where the field is null', async (t) => {
    t.same(await found({ 'int_or_null[gte]': -10 }, owner), ['b', 'c'])
    t.same(await found({ 'time_or_null[lt]': '9999-01-01T00:00:00Z' }, owner), ['b', 'c'])
  })

  const nullable = ['text', 'int', 'decimal', 'flag', 'time', 'day', 'one_of', 'uuid', 'email', 'drawer_id']
  for (const kind of nullable)
    await t.test(`rows without ${kind}, and rows with it`, async (t) => {
      const one = await personWith([{ text: 'none' }])
      const some = { ...SPECIMEN, text: 'some', drawer_id: await drawerOf(one) } as Record<string, unknown>
      await created(service, '/specimens/', one, { ...some, [`${kind}_or_null`]: some[kind] })
      t.same(await found({ [`${kind}_or_null[null]`]: 'true' }, one), ['none'])
      t.same(await found({ [`${kind}_or_null[null]`]: 'false' }, one), ['some'])
      t.same(await found({ [`${kind}_or_null`]: String(some[kind]) }, one), ['some'])
    })

  await t.test('several filters hold together', async (t) => {
    t.same(await found({ flag: 'true', 'int[gte]': 0 }, owner), ['c'])
    t.same(await found({ flag: 'true', one_of: ['open', 'null'], 'day[lt]': '2026-02-01' }, owner), ['a'])
    t.same(await found({ flag: 'false', one_of: 'open' }, owner), [])
    t.same(
      await found({ int_or_null: ['2', '3'], 'int_or_null[gt]': 2, 'one_of_or_null[null]': 'false' }, owner),
      ['c'],
    )
  })

  await t.test('a text is compared exactly, whatever is in it', async (t) => {
    const texts = [
      'null',
      'NULL',
      '{}',
      '{a,b}',
      'a,b',
      'a',
      'b',
      '"',
      '""',
      '\\',
      String.raw`\"`,
      "'",
      "' or true --",
      ' ',
      ' a',
      'a ',
      'A',
      '%',
      '_',
      'é',
      'e\u0301',
      '🦊',
      'a\nb',
      '$1',
      'a&b=c',
    ]
    const one = await personWith(texts.map((text) => ({ text, text_or_null: text })))
    for (const text of texts) {
      t.same(await found({ text }, one), [text])
      t.same(await found({ text_or_null: [text, 'not there'] }, one), [text])
    }
    t.same(new Set(await found({ text: texts }, one)), new Set(texts), 'and all of them at once')
  })

  await t.test('filters, search, order and cursor go together', async (t) => {
    const one = await personWith(
      Array.from({ length: 30 }, (_, n) => ({
        text: `${n % 2 ? 'Loom' : 'loam'} ${String(n).padStart(2, '0')}`,
        int: n % 5,
        flag: n % 3 === 0,
      })),
    )
    const query = { q: 'LOOM', sort: '-int', flag: 'false', 'int[gte]': 1 }
    const whole = await list({ ...query, limit: 1000 }, one)
    t.same(
      new Set(whole.data.map(({ text }) => text)),
      new Set(
        Array.from({ length: 30 }, (_, n) => n)
          .filter((n) => n % 2 === 1 && n % 3 !== 0 && n % 5 >= 1)
          .map((n) => `Loom ${String(n).padStart(2, '0')}`),
      ),
    )
    const pages = [await list({ ...query, limit: 3 }, one)]
    for (let cursor = pages[0]!.next_cursor; cursor !== null; cursor = pages.at(-1)!.next_cursor)
      pages.push(await list({ ...query, limit: 3, cursor }, one))
    t.same(
      pages.flatMap(({ data }) => data),
      whole.data,
    )
    t.same(
      new Set(pages.map(({ count }) => count)),
      new Set([whole.data.length]),
      'each page counts them all',
    )
    t.same((await list({ ...query, skip: 2, limit: 2 }, one)).data, whole.data.slice(2, 4), 'and skip')
    t.same(await list({ ...query, skip: 99 }, one), { data: [], count: whole.count, next_cursor: null })
  })

  await t.test('a cursor goes with the filters of its list alone', async (t) => {
    const { next_cursor } = await list({ limit: 1, flag: 'true', 'int[gte]': -10 }, owner)
    const cursor = next_cursor!
    const others: Query[] = [
      {},
      { flag: 'true' },
      { flag: 'false', 'int[gte]': -10 },
      { flag: ['true', 'false'], 'int[gte]': -10 },
      { flag: 'true', 'int[gt]': -10 },
      { flag: 'true', 'int[gte]': -9 },
      { flag: 'true', 'int[gte]': -10, one_of: 'open' },
      { flag: 'true', 'int[gte]': -10, q: 'a' },
      { flag: 'true', 'int[gte]': -10, sort: 'int' },
    ]
    for (const query of others)
      isRefused(t, await get({ ...query, cursor }, owner), ['query.cursor'], JSON.stringify(query))
    t.equal((await list({ cursor, 'int[gte]': -10, flag: 'true' }, owner)).data.length, 1, 'in any order')
    const plain = (await list({ limit: 1 }, owner)).next_cursor!
    isRefused(
      t,
      await get({ cursor: plain, flag: 'true' }, owner),
      ['query.cursor'],
      'nor one of the list without any',
    )
    const several = (await list({ limit: 1, text: ['c', 'a'] }, owner)).next_cursor!
    t.equal((await list({ cursor: several, text: ['a', 'c'] }, owner)).data.length, 1, 'values in any order')
  })

  const wrong: [name: string, value: string][] = [
    ['text', ''],
    ['text', 'x'.repeat(41)],
    ['text', 'a\0b'],
    ['int', 'x'],
    ['int', '1.5'],
    ['int', ''],
    ['int', '0x10'],
    ['int', '99999999999'],
    ['decimal', '1.23456'],
    ['decimal', '123456789'],
    ['decimal', 'NaN'],
    ['flag', 'yes'],
    ['flag', ''],
    ['time', '2026-01-01'],
    ['time', 'now'],
    ['day', '2026-02-30'],
    ['one_of', 'Open'],
    ['one_of', ''],
    ['uuid', 'x'],
    ['email', 'ada'],
    ['drawer_id', '5'],
  ]
  await t.test('a value that the field can not have is 422 at its parameter', async (t) => {
    for (const [name, value] of wrong) {
      isRefused(t, await get({ [name]: value }, owner), [`query.${name}.0`], `${name}=${value}`)
      isRefused(t, await get({ [`${name}_or_null`]: value }, owner), [`query.${name}_or_null.0`])
    }
    isRefused(t, await get({ int: ['1', 'x'] }, owner), ['query.int.1'], 'which of several')
    const bounds = wrong.filter(([name]) => ['int', 'decimal', 'time', 'day'].includes(name))
    for (const [name, value] of bounds)
      for (const operator of ['gt', 'gte', 'lt', 'lte'])
        isRefused(t, await get({ [`${name}[${operator}]`]: value }, owner), [`query.${name}[${operator}]`])
    for (const value of ['yes', '', 'null', '2'])
      isRefused(t, await get({ 'int_or_null[null]': value }, owner), ['query.int_or_null[null]'])
  })

  await t.test('a range or null given twice is 422', async (t) => {
    isRefused(t, await get({ 'int[gte]': ['1', '2'] }, owner), ['query.int[gte]'])
    isRefused(t, await get({ 'int_or_null[null]': ['true', 'false'] }, owner), ['query.int_or_null[null]'])
  })

  await t.test('more than 100 values are 422', async (t) => {
    const many = (count: number) => Array.from({ length: count }, (_, n) => String(n))
    t.equal((await get({ int: many(100) }, owner)).status, 200)
    isRefused(t, await get({ int: many(101) }, owner), ['query.int'])
  })

  await t.test('a time in the years before 1 and after 9999 in UTC is no server error', async (t) => {
    for (const time of ['9999-12-31T23:59:59-05:00', '0001-01-01T00:00:00+05:00'])
      for (const name of ['time', 'time[gte]', 'time_or_null[lt]'])
        t.equal((await get({ [name]: time }, owner)).status, 422, `${name}=${time}`)
  })

  await t.test('an address is found in whatever form it is asked for', async (t) => {
    const one = await personWith([{ email: 'ada@xn--bcher-kva.example' }])
    t.same(await found({ email: 'ada@bücher.example' }, one), ['Beetle'])
  })

  await t.test('a range that the field can not reach is no error', async (t) => {
    t.same(await found({ 'int[gte]': 0 }, owner), ['b', 'c'])
    t.equal((await get({ 'int[lt]': 1001 }, owner)).status, 422, 'beyond its bounds it is, as in a body')
  })

  await t.test("a filter never shows others' rows, but to superusers", async (t) => {
    const text = randomUUID()
    const [one, other] = [await personWith([{ text, flag: true }]), await personWith([{ text, flag: false }])]
    t.same(await found({ text }, one), [text])
    t.same(await found({ text, flag: 'false' }, one), [])
    t.same(await found({ text, flag: ['false', 'true'], 'text_or_null[null]': 'true' }, other), [text])
    t.same(await found({ text }, admin), [text, text])
    t.same(await found({ text, flag: 'true' }, admin), [text])
    const { id } = (await list({ text }, one)).data[0]!
    const cursor = (await list({ limit: 1, text }, admin)).next_cursor!
    const page = await list({ cursor, text }, one)
    t.ok(
      page.data.every((row) => row.id === id),
      "not even by another's cursor",
    )
  })

  await t.test('a deleted user takes their rows out of every filter', async (t) => {
    const text = randomUUID()
    const gone = await personWith([{ text }])
    t.same(await found({ text }, admin), [text])
    await service.rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    t.same(await found({ text }, admin), [])
  })

  await t.test('a filter that the list does not have changes nothing', async (t) => {
    const all = await list({}, owner)
    t.same(await list({ owner_id: admin.id, 'int[like]': '5', 'text[gt]': 'a', url: 'x' }, owner), all)
  })

  await t.test('the document names each filter', (t) => {
    const { parameters = [] } = documentOf(service.app).paths['/api/v1/specimens/']!.get!
    const schemas = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema]))
    t.match(schemas, {
      one_of: { type: 'array', items: { enum: ['open', 'done', "won't do", 'null'] } },
      'int[gte]': { type: 'integer', minimum: -10 },
      'day_or_null[null]': { type: 'boolean' },
    })
    t.notOk('text[gt]' in schemas, 'texts have no range')
    t.notOk('int[null]' in schemas, 'a required field is never null')
    t.ok(parameters.every(({ required }) => !required))
    t.end()
  })
})
