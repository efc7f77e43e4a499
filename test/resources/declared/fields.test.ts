import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { documentOf } from '../../support/document.ts'
import type { Answer, Person } from '../../support/service.ts'
import { DEFAULTS, NULLS, SPECIMEN, created, startWithSpecimens } from '../../support/specimens.ts'

type Values = Record<string, unknown>

/** Values of each kind: as they are sent and shown, where that differs. */
const RIGHT: Record<keyof typeof SPECIMEN, readonly unknown[]> = {
  text: [' Ünïcode\n🦊 e\u0301 ', '🦊'.repeat(40), 'null', String.raw`{"a",\b}`],
  int: [-10, 1000, 0],
  decimal: [
    '12.5000',
    { sent: '-99999999.9999', shown: '-99999999.9999' },
    { sent: '1', shown: '1.0000' },
    { sent: '-0.5', shown: '-0.5000' },
  ],
  flag: [true, false],
  time: [
    '2026-11-23T10:15:00.123Z',
    { sent: '2026-11-23T12:15:00.5+02:00', shown: '2026-11-23T10:15:00.500Z' },
    { sent: '2026-11-23t10:15:00z', shown: '2026-11-23T10:15:00.000Z' },
    '0100-01-01T00:00:00.000Z',
    { sent: '9999-12-31T23:59:59.9999Z', shown: '9999-12-31T23:59:59.999Z' },
  ],
  day: ['2024-02-29', '0001-01-01', '9999-12-31'],
  one_of: ['open', "won't do", 'null'],
  texts: [['a', 'b'], [], ['', ' ', 'null', 'NULL', '{}'], ['a,b', '"', '\\', String.raw`\"`, '🦊']],
  choices: [['done', "won't do", 'null'], [], ['open', 'open']],
  json: [
    { sides: 3, name: '\u{1F98A} "\\' },
    { sides: 5 },
    { sent: { sides: 3, unknown: 1 }, shown: { sides: 3 } },
  ],
  uuid: [
    '00000000-0000-4000-8000-00000000000a',
    {
      sent: 'ABCDEF00-0000-4000-8000-00000000000A',
      shown: 'abcdef00-0000-4000-8000-00000000000a',
    },
  ],
  email: ['ada@example.com', 'Ada@Example.com', 'ada+é@xn--bcher-kva.example'],
  url: ['https://example.com/?a=1#b', 'http://[::1]:80/', `https://example.com/${'x'.repeat(2028)}`],
}
const ROUNDS = 5

/** Values that are refused, and where within the field. */
const WRONG: Record<keyof typeof SPECIMEN | 'drawer_id', readonly (readonly [unknown, string?])[]> = {
  text: [['🦊'.repeat(41)], [''], [5], ['a\0b'], ['\ud83e'], [['x']]],
  int: [[-11], [1001], [1.5], ['5'], [true]],
  decimal: [
    ['123456789'],
    ['1.23456'],
    ['1,5'],
    ['1e3'],
    [5],
    [''],
    ['+1'],
    ['.5'],
    ['1.'],
    ['NaN'],
    ['1\n'],
  ],
  flag: [['true'], [1], ['']],
  time: [['2026-02-30T00:00:00Z'], ['2026-01-01'], ['2026-01-01T00:00:00'], [5], ['now'], ['infinity'], ['']],
  day: [['2026-02-29'], ['0000-01-01'], ['2026-1-1'], [20260101], ['today'], ['']],
  one_of: [['Open'], ['']],
  texts: [
    [['a', 'b', 'c', 'd', 'e', 'f']],
    [['x'.repeat(21)], '0'],
    [['a', null], '1'],
    ['a'],
    [{}],
    [['\0'], '0'],
  ],
  choices: [[['nope'], '0'], [['open', ''], '1'], ['open'], [Array.from({ length: 101 }, () => 'open')]],
  json: [
    [{ sides: 2 }, 'sides'],
    [{}, 'sides'],
    [{ sides: 3, name: 5 }, 'name'],
    [[]],
    ['{"sides":3}'],
    [{ sides: 3, name: '\0' }, 'name'],
  ],
  uuid: [['x'], ['urn:uuid:00000000-0000-4000-8000-00000000000a'], [''], [5]],
  email: [['ada'], ['a@b@example.com'], ['Ada <ada@example.com>'], ['']],
  url: [['javascript:alert(1)'], ['example.com'], [''], [`https://example.com/${'x'.repeat(2029)}`]],
  drawer_id: [['x'], [''], [5]],
}

void test('declared fields', async (t) => {
  const service = await startWithSpecimens(t)
  const { call, rows } = service
  const owner = await service.person()
  const drawer = await created(service, '/drawers/', owner, { title: 'Top' })
  const whole = { ...SPECIMEN, drawer_id: drawer.id }
  const post = (body: object, as: Person = owner) => call('POST', '/specimens/', { as, body })
  const put = (id: string, body: object) => call('PUT', `/specimens/${id}`, { as: owner, body })
  const batch = (data: readonly object[], as: Person = owner) =>
    call('POST', '/specimens/batch', { as, body: { data } })
  const get = async (id: string) => (await call('GET', `/specimens/${id}`, { as: owner })).body as Values
  const listed = async (id: string) => {
    const { body } = await call('GET', '/specimens/?limit=1000', { as: owner })
    return (body.data as Values[]).find((row) => row.id === id)
  }
  const count = async () => (await rows(sql`select from specimens`)).length
  const shownOf = (value: unknown) => (isPair(value) ? value.shown : value)
  const sentOf = (value: unknown) => (isPair(value) ? value.sent : value)
  const ofRound = (round: number, read: (value: unknown) => unknown): Values =>
    Object.fromEntries(
      Object.entries(RIGHT).flatMap(([kind, values]) => {
        const value = read(values[round % values.length])
        return [
          [kind, value],
          [`${kind}_or_null`, value],
        ]
      }),
    )
  const own = ({ id, owner_id, created_at }: Values) => ({ id, owner_id, created_at })

  for (let round = 0; round < ROUNDS; round++) {
    const body = {
      ...ofRound(round, sentOf),
      drawer_id: drawer.id,
      drawer_id_or_null: drawer.id,
      nick: 'Nick',
      x: 'x',
    }
    const shown = {
      ...NULLS,
      ...ofRound(round, shownOf),
      drawer_id: drawer.id,
      drawer_id_or_null: drawer.id,
      nick: 'Nick',
      x: 'x',
    }

    await t.test(`a field reads back as it was sent (values ${round})`, async (t) => {
      const answer = await post(body)
      isAnswer(t, answer, 200, { ...shown, ...own(answer.body) }, 'in the answer of its creation')
      t.strictSame(await get(answer.body.id), answer.body, 'when it is read')
      t.strictSame(await listed(answer.body.id), answer.body, 'and in the list')
    })
    await t.test(`a field reads back as it was changed (values ${round})`, async (t) => {
      const row = await created(service, '/specimens/', owner, whole)
      isAnswer(t, await put(row.id, body), 200, { ...shown, ...own(row) })
      t.strictSame(await get(row.id), { ...shown, ...own(row) })
    })
    await t.test(`a field of many rows at once reads back as it was sent (values ${round})`, async (t) => {
      const { status, body: answered } = await batch([whole, body])
      t.equal(status, 200)
      t.strictSame(answered.data[1], { ...shown, ...own(answered.data[1]) })
      t.strictSame(await get(answered.data[1].id), answered.data[1])
    })
    await t.test(`a creation with a key is repeated as it was (values ${round})`, async (t) => {
      const headers = { 'idempotency-key': `key ${round}`.replace(' ', '-') }
      const first = await call('POST', '/specimens/', { as: owner, body, headers })
      isAnswer(t, first, 200, { ...shown, ...own(first.body) })
      t.equal((await call('POST', '/specimens/', { as: owner, body, headers })).text, first.text)
    })
  }

  await t.test('fields that are optional are null where they are not sent', async (t) => {
    const answer = await post(whole)
    isAnswer(t, answer, 200, { ...whole, ...NULLS, ...own(answer.body) })
    const many = await batch([whole])
    t.strictSame(many.body.data, [{ ...whole, ...NULLS, ...own(many.body.data[0]) }])
  })

  await t.test('fields that are optional can be made null again', async (t) => {
    const row = await created(service, '/specimens/', owner, {
      ...whole,
      ...ofRound(0, sentOf),
      x_sent: 'x',
      nick: 'n',
    })
    const expected = { ...row, ...NULLS }
    isAnswer(t, await put(row.id, NULLS), 200, expected)
    t.strictSame(await get(row.id), expected)
    const answer = await post({ ...whole, ...NULLS })
    isAnswer(t, answer, 200, { ...whole, ...NULLS, ...own(answer.body) }, 'and be null from the start')
  })

  await t.test('PUT keeps every field that is not sent', async (t) => {
    const row = await created(service, '/specimens/', owner, {
      ...whole,
      ...ofRound(0, sentOf),
      x: 'a',
      x_sent: 'b',
      nick: 'n',
      code: 'kept',
    })
    isAnswer(t, await put(row.id, {}), 200, row)
    for (const [field, value] of Object.entries({ ...SPECIMEN, x: 'c', x_sent: 'd', nick: 'm' })) {
      const changed = await put(row.id, { [field]: value })
      isAnswer(t, changed, 200, { ...row, [field]: value }, `${field} alone`)
      await put(row.id, { [field]: row[field] })
    }
  })

  await t.test('a required field that is missing or null is 422 at that field', async (t) => {
    const row = await created(service, '/specimens/', owner, whole)
    const before = await count()
    const required = Object.keys(whole)
    isRefused(
      t,
      await post({}),
      required.map((field) => `body.${field}`),
    )
    isRefused(
      t,
      await batch([whole, {}]),
      required.map((field) => `body.data.1.${field}`),
    )
    for (const field of required) {
      const nulled = { ...whole, [field]: null }
      t.equal((await post(nulled)).status, 422, field)
      t.ok(
        places(await post(nulled)).every((place) => place === `body.${field}`),
        `POST: ${field}`,
      )
      t.ok(
        places(await put(row.id, { [field]: null })).every((place) => place === `body.${field}`),
        `PUT: ${field}`,
      )
      t.ok(
        places(await batch([whole, nulled])).every((place) => place === `body.data.1.${field}`),
        `batch: ${field}`,
      )
    }
    t.strictSame(await get(row.id), row)
    t.equal(await count(), before, 'nothing is stored')
  })

  for (const [kind, wrong] of Object.entries(WRONG))
    await t.test(`a value that is no ${kind} is 422 at its field`, async (t) => {
      const row = await created(service, '/specimens/', owner, whole)
      const before = await count()
      for (const field of [kind, `${kind}_or_null`])
        for (const [value, within] of wrong) {
          const place = within === undefined ? field : `${field}.${within}`
          const body = { ...whole, [field]: value }
          const shown = `${field}: ${JSON.stringify(value).slice(0, 50)}`
          isRefused(t, await post(body), [`body.${place}`], `POST ${shown}`)
          isRefused(t, await put(row.id, { [field]: value }), [`body.${place}`], `PUT ${shown}`)
          isRefused(t, await batch([whole, body]), [`body.data.1.${place}`], `batch ${shown}`)
        }
      t.strictSame(await get(row.id), row)
      t.equal(await count(), before, 'nothing is stored')
    })

  await t.test(
    'an address is stored in one form, whatever white space and alphabet it is sent in',
    async (t) => {
      const sent = { ...whole, email: ' Ada@bücher.example ', email_or_null: '\tAda@bücher.example' }
      const shown = { email: 'Ada@xn--bcher-kva.example', email_or_null: 'Ada@xn--bcher-kva.example' }
      const row = await created(service, '/specimens/', owner, sent)
      t.match(row, shown)
      t.match((await put(row.id, sent)).body, shown)
      t.match((await batch([sent])).body, { data: [shown] }, 'among many rows, too')
    },
  )

  await t.test('a time of the first century stays in it, in small telegrams too', async (t) => {
    for (const time of ['0001-01-01T00:00:00Z', '0001-01-01t00:00:00z', '0099-12-31t23:59:59.999z'])
      t.equal((await post({ ...whole, time })).body.time?.slice(0, 4), time.slice(0, 4), time)
  })

  await t.test('a time in the years before 1 and after 9999 in UTC is 422 at its field', async (t) => {
    for (const time of ['9999-12-31T23:59:59-05:00', '0001-01-01T00:00:00+05:00']) {
      isRefused(t, await post({ ...whole, time }), ['body.time'], `POST ${time}`)
      const row = await created(service, '/specimens/', owner, whole)
      isRefused(t, await put(row.id, { time }), ['body.time'], `PUT ${time}`)
      const many = await batch([whole, { ...whole, time }])
      t.equal(many.status, 422, `batch ${time}`)
      t.match(many.body.detail[0], { loc: ['body', 'data'], type: 'datetime_parsing' })
    }
  })

  await t.test('a second row with a unique value is 409 with the name of its field', async (t) => {
    const [first, second] = [
      await created(service, '/specimens/', owner, { ...whole, code: 'one' }),
      await created(service, '/specimens/', owner, { ...whole, code: 'two' }),
    ]
    const taken = { detail: 'Value is already in use: code', code: 'already_exists' }
    const before = await count()
    isAnswer(t, await post({ ...whole, code: 'one' }), 409, taken)
    isAnswer(t, await put(second.id, { code: 'one' }), 409, taken)
    isAnswer(
      t,
      await batch([
        { ...whole, code: 'three' },
        { ...whole, code: 'one' },
      ]),
      409,
      taken,
    )
    isAnswer(
      t,
      await batch([
        { ...whole, code: 'four' },
        { ...whole, code: 'four' },
      ]),
      409,
      taken,
      'twice in a batch',
    )
    t.equal(await count(), before)
    isAnswer(t, await put(first.id, { code: 'one' }), 200, first, 'but its own value is no other')
    await put(first.id, { code: null })
    t.equal((await post({ ...whole, code: 'one' })).status, 200, 'a value is free again')
    t.equal((await batch([whole, whole])).status, 200, 'and rows without one are no matter')
  })

  await t.test("a unique value of one owner is free for others'", async (t) => {
    const other = await service.person()
    const own = await created(service, '/drawers/', other, { title: 'Mine' })
    await post({ ...whole, code: 'both' })
    t.equal((await post({ ...whole, drawer_id: own.id, code: 'both' }, other)).status, 200)
  })

  await t.test('the table refuses rows that are written around the schema', async (t) => {
    const { id } = await created(service, '/specimens/', owner, whole)
    const refused: Record<string, ReturnType<typeof sql>> = {
      'one of these texts': sql`update specimens set one_of = 'nope' where id = ${id}`,
      'a list of these texts': sql`update specimens set choices = '{open,nope}' where id = ${id}`,
      'a list with null': sql`update specimens set choices = '{open,null}' where id = ${id}`,
      'a number within its bounds': sql`update specimens set int = 1001 where id = ${id}`,
      'a number not below them': sql`update specimens set int_or_null = -11 where id = ${id}`,
      'a text of its length': sql`update specimens set text = repeat('x', 41) where id = ${id}`,
      'a decimal of its precision': sql`update specimens set decimal = 100000000 where id = ${id}`,
      'what is required': sql`update specimens set flag = null where id = ${id}`,
      'a row that is there': sql`update specimens set drawer_id = gen_random_uuid() where id = ${id}`,
    }
    for (const [what, statement] of Object.entries(refused)) await t.rejects(rows(statement), what)
    t.match(
      await rows(
        sql`update specimens set int_or_null = null, one_of_or_null = null where id = ${id} returning id`,
      ),
      [{ id }],
    )
  })

  await t.test('a field that is not sent has its default, in each kind', async (t) => {
    const expected = Object.fromEntries(
      Object.entries(DEFAULTS).flatMap(([kind, value]) => [
        [kind, value],
        [`${kind}_or_null`, value],
      ]),
    )
    const answer = await call('POST', '/fallbacks/', { as: owner, body: {} })
    isAnswer(t, answer, 200, { ...expected, ...own(answer.body) })
    const many = await call('POST', '/fallbacks/batch', { as: owner, body: { data: [{}, { int: 1 }] } })
    t.strictSame(many.body.data[0], { ...expected, ...own(many.body.data[0]) })
    t.strictSame(many.body.data[1], { ...expected, int: 1, ...own(many.body.data[1]) })
    const [written] = await rows<{ id: string }>(
      sql`insert into fallbacks (owner_id) values (${owner.id}) returning id`,
    )
    const { body } = await call('GET', `/fallbacks/${written!.id}`, { as: owner })
    t.strictSame(body, { ...expected, ...own(body) }, 'also where another program writes it')
  })

  await t.test('null is no reason for a default', async (t) => {
    const nulls = Object.fromEntries(Object.keys(DEFAULTS).map((kind) => [`${kind}_or_null`, null]))
    const answer = await call('POST', '/fallbacks/', { as: owner, body: nulls })
    isAnswer(t, answer, 200, { ...DEFAULTS, ...nulls, ...own(answer.body) })
    const many = await call('POST', '/fallbacks/batch', { as: owner, body: { data: [nulls] } })
    t.strictSame(many.body.data[0], { ...DEFAULTS, ...nulls, ...own(many.body.data[0]) })
    const required = Object.fromEntries(Object.keys(DEFAULTS).map((kind) => [kind, null]))
    const refused = await call('POST', '/fallbacks/', { as: owner, body: required })
    t.same(new Set(places(refused)), new Set(Object.keys(DEFAULTS).map((kind) => `body.${kind}`)))
  })

  await t.test('PUT resets no field to its default', async (t) => {
    const { body: row } = await call('POST', '/fallbacks/', {
      as: owner,
      body: { int: 1, one_of_or_null: null, texts: [] },
    })
    isAnswer(t, await call('PUT', `/fallbacks/${row.id}`, { as: owner, body: { flag: false } }), 200, {
      ...row,
      flag: false,
    })
  })

  await t.test('the document has the bounds and defaults of each field', (t) => {
    const { schemas } = documentOf(service.app).components
    t.match(schemas.SpecimenCreate, {
      properties: {
        text: { type: 'string', minLength: 1, maxLength: 40 },
        int_or_null: { type: ['integer', 'null'], minimum: -10, maximum: 1000 },
        one_of_or_null: { type: ['string', 'null'], enum: ['open', 'done', "won't do", 'null', null] },
        texts: { type: 'array', maxItems: 5, items: { maxLength: 20 } },
      },
    })
    t.match(schemas.FallbackCreate, {
      properties: { time: { default: DEFAULTS.time }, json_or_null: { default: DEFAULTS.json } },
    })
    t.same((schemas.SpecimenCreate!.required as string[]).toSorted(), Object.keys(whole).toSorted())
    t.notOk('required' in schemas.SpecimenUpdate!, 'a change needs no field')
    t.end()
  })
})

const isPair = (value: unknown): value is { sent: unknown; shown: unknown } =>
  typeof value === 'object' && value !== null && 'sent' in value

const places = ({ body }: Answer) =>
  ((body?.detail ?? []) as { loc: unknown[] }[]).map(({ loc }) => loc.join('.'))
