import { randomUUID } from 'node:crypto'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { type Answer, address, startService } from '../support/service.ts'

const fault = (type: string, msg: string) => ({ type, msg })
const missing = fault('missing', 'Field required')
const noText = fault('string_type', 'Input should be a valid string')
const noFlag = fault('bool_type', 'Input should be a valid boolean')
const noEmail = fault('value_error', 'Value is not a valid email address')
const noUnicode = fault('string_unicode', 'Text should be valid Unicode without U+0000')
const noNumber = fault('int_parsing', 'Input should be a valid integer, unable to parse string as an integer')
const tooShort = fault('string_too_short', 'String should have at least 8 characters')
const tooLong = (limit: number) => fault('string_too_long', `String should have at most ${limit} characters`)

const SECRET = 'kept-to-ourselves'
const PASSWORD = 'correct horse battery'
const emoji = (count: number) => '🦊'.repeat(count)

/** About the deepest nesting that fits into a body of 32 KiB. */
const DEPTH = 4_000

void test('inputs that do not fit their schema', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { admin, call } = service
  const json = (body: string) =>
    call('POST', '/private/users/', { body, headers: { 'content-type': 'application/json' } })
  const create = (fields: object) =>
    call('POST', '/private/users/', {
      body: { email: address(), password: PASSWORD, full_name: null, ...fields },
    })
  const faultsOf = ({ body }: Answer) =>
    Object.fromEntries(
      body.detail.map(({ loc, ...rest }: { loc: string[] }) => [loc.join('.'), rest]),
    ) as unknown

  await t.test(
    'all errors of a body or query are reported at once, in the words of the FastAPI template',
    async (t) => {
      const bodies: [body: object, faults: object][] = [
        [{}, { 'body.email': missing, 'body.password': missing, 'body.full_name': missing }],
        [
          { email: 'ada', password: 'short', full_name: 5, is_verified: 'true' },
          {
            'body.email': noEmail,
            'body.password': tooShort,
            'body.full_name': noText,
            'body.is_verified': noFlag,
          },
        ],
        [
          { email: null, password: null, full_name: ['x'], is_verified: null },
          {
            'body.email': noText,
            'body.password': noText,
            'body.full_name': noText,
            'body.is_verified': noFlag,
          },
        ],
        [
          { email: 1e20, password: emoji(129), full_name: emoji(256), is_verified: 0 },
          {
            'body.email': noText,
            'body.password': tooLong(128),
            'body.full_name': tooLong(255),
            'body.is_verified': noFlag,
          },
        ],
        [[], { body: fault('model_attributes_type', 'Input should be a valid object') }],
      ]
      for (const [body, faults] of bodies) {
        const answer = await call('POST', '/private/users/', { body })
        t.equal(answer.status, 422)
        t.strictSame(faultsOf(answer), faults, JSON.stringify(body).slice(0, 70))
        for (const one of answer.body.detail) t.strictSame(Object.keys(one), ['type', 'loc', 'msg'])
      }
      const range = await call('GET', '/papers/?skip=-1&limit=1001', { as: admin })
      t.strictSame(faultsOf(range), {
        'query.skip': fault('greater_than_equal', 'Input should be greater than or equal to 0'),
        'query.limit': fault('less_than_equal', 'Input should be less than or equal to 1000'),
      })
      const numbers = await call('GET', '/papers/?skip=0x10&limit=%205', { as: admin })
      t.strictSame(faultsOf(numbers), { 'query.skip': noNumber, 'query.limit': noNumber })
      const path = await call('GET', '/papers/5', { as: admin })
      t.strictSame(faultsOf(path), { 'path.id': fault('uuid_parsing', 'Input should be a valid UUID') })
      const form = await call('POST', '/login/access-token', { form: { grant_type: 'code' } })
      isRefused(t, form, ['body.grant_type', 'body.password', 'body.username'])
    },
  )

  await t.test('a validation error never repeats the value that was sent', async (t) => {
    const wrong = { email: SECRET, password: [SECRET], full_name: { x: SECRET }, is_verified: SECRET }
    const answers = [
      await create(wrong),
      await create({ password: SECRET.slice(0, 7), full_name: `${SECRET}\0` }),
      await call('GET', `/papers/?skip=${SECRET}&${SECRET}=1`, { as: admin }),
      await call('GET', `/papers/${SECRET}`, { as: admin }),
      await call('POST', `/password-recovery/${SECRET}`),
      await call('POST', '/login/access-token', { form: { grant_type: SECRET, username: SECRET } }),
      await json(`{"email": "${SECRET}`),
    ]
    for (const { status, text } of answers) {
      t.ok(status === 422 || status === 400)
      t.notMatch(text, SECRET.slice(0, 7))
    }
  })

  await t.test('fields that the schema of sign-up does not name are ignored', async (t) => {
    const reach = { is_superuser: true, is_verified: true, is_active: false, id: randomUUID(), unknown: 1 }
    const answer = await call('POST', '/users/signup', {
      body: { email: address(), password: PASSWORD, ...reach },
    })
    t.match(answer, { status: 200, body: { is_superuser: false, is_verified: false, is_active: true } })
    t.not(answer.body.id, reach.id)
  })

  await t.test('lengths count code points: an emoji is one character', async (t) => {
    const fits = { password: emoji(8), full_name: emoji(255) }
    const { status, body } = await create(fits)
    t.equal(status, 200)
    t.equal(body.full_name, fits.full_name, 'stored whole')
    t.equal((await service.signIn(body.email, fits.password)).status, 200)
    t.equal((await create({ password: emoji(128) })).status, 200)
    isRefused(t, await create({ password: emoji(7) }), ['body.password'])
    isRefused(t, await create({ password: emoji(129) }), ['body.password'])
  })

  await t.test('fault 15: U+0000 and lone surrogates are 422 in body, form, path and query', async (t) => {
    for (const text of ['a\0', '\ud83e', '\udd8a\ud83e'])
      t.strictSame(faultsOf(await create({ full_name: text, password: PASSWORD + text })), {
        'body.full_name': noUnicode,
        'body.password': noUnicode,
      })
    const form = { username: 'a\0', password: 'b\0' }
    isRefused(t, await call('POST', '/login/access-token', { form }), ['body.password', 'body.username'])
    for (const path of ['/password-recovery/a%00@example.com', '/password-recovery/%00'])
      t.match((await call('POST', path)).body.detail[0], { loc: ['path', 'email'] })
    const query = await call('POST', '/utils/test-email/?email_to=a@b.co%00', { as: admin })
    t.match(query.body.detail[0], { loc: ['query', 'email_to'] })
    t.equal((await call('GET', '/papers/%00', { as: admin })).status, 422)
  })

  await t.test('bytes that are not UTF-8 are 422 in a query, and never match a password', async (t) => {
    const isAt = async (method: 'GET' | 'POST', path: string, name: string) => {
      const { status, body } = await call(method, path, { as: admin })
      t.match({ status, body }, { status: 422, body: { detail: [{ loc: ['query', name] }] } }, path)
    }
    for (const bytes of ['%ff', '%c3', '%ed%a0%80', '%c0%80', 'caf%e9']) {
      await isAt('GET', `/papers/?q=${bytes}`, 'q')
      await isAt('GET', `/papers/?limit=${bytes}`, 'limit')
      await isAt('POST', `/utils/test-email/?email_to=a${bytes}@b.co`, 'email_to')
      const unknown = await call('GET', `/papers/?unknown=${bytes}&${bytes}=1`, { as: admin })
      t.equal(unknown.status, 200, 'unless nobody reads it')
    }
    for (const text of ['%C3%A9', '%EF%BF%BD', '%zz', '%', 'a+b', 'a%2Bb', '%F0%9F%A6%8A'])
      t.equal((await call('GET', `/papers/?q=${text}`, { as: admin })).status, 200, text)

    const email = address()
    const replaced = 'battery \ufffd\ufffd horse'
    t.equal((await create({ email, password: replaced })).status, 200)
    t.equal((await service.signIn(email, replaced)).status, 200, 'what U+FFFD was chosen as, it is')
    for (const bytes of ['%ff%fe', '%c3%28'.slice(0, 3) + '%e9', '%80%80']) {
      const payload = `username=${encodeURIComponent(email)}&password=battery+${bytes}+horse`
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const answer = await call('POST', '/login/access-token', { body: payload, headers })
      isRefused(t, answer, ['body.password'], bytes)
    }
  })

  await t.test('fault 15: deep JSON, __proto__ and odd numbers are 4xx or ignored', async (t) => {
    const deep = (open: string, close: string) => open.repeat(DEPTH) + close.repeat(DEPTH)
    const user = (fields: string) =>
      `{"email": "${address()}", "password": "${PASSWORD}", "full_name": null, ${fields}}`
    for (const nested of [deep('[', ']'), `${deep('{"a":', '').replace(/$/, '1')}${'}'.repeat(DEPTH)}`]) {
      const start = performance.now()
      isRefused(t, await json(user(`"full_name": ${nested}`)), ['body.full_name'], 'where text is expected')
      t.equal((await json(user(`"unknown": ${nested}`))).status, 200, 'where nothing is expected')
      isRefused(t, await json(`[${nested}]`), ['body'], 'where an object is expected')
      t.ok(performance.now() - start < 3_000, 'and holds nobody up')
    }
    for (const polluted of ['"__proto__": {"is_verified": true}', '"constructor": {"prototype": {"x": 1}}']) {
      const answer = await json(user(polluted))
      t.ok(answer.status >= 400 && answer.status < 500, polluted)
    }
    t.equal(({} as Record<string, unknown>).is_verified, undefined)
    const twice = await json(
      user('"full_name": 5, "full_name": "Ada", "is_verified": false, "is_verified": true'),
    )
    t.match(
      twice,
      { status: 200, body: { full_name: 'Ada', is_verified: true } },
      'of two, what is checked is what is kept',
    )
    isRefused(t, await json(user('"full_name": "Ada", "full_name": 5')), ['body.full_name'])
    for (const number of ['1e20', '-1', '1e999', '0', '1.5'])
      isRefused(t, await json(user(`"is_verified": ${number}`)), ['body.is_verified'], number)
    isAnswer(t, await json(user('"is_verified": NaN')), 400, 'The body could not be read')
  })

  await t.test('the answer to a small body with thousands of errors stays below 50 kB', async (t) => {
    const nest = `${'['.repeat(1000)}${Array(1000).fill('"\\u0000"').join()}${']'.repeat(1000)}`
    const field = `{"email": ${nest}, "password": "${PASSWORD}", "full_name": null}`
    const flat = `[${Array(3000).fill('"\\u0000"').join()}]`
    for (const body of [field, nest, flat]) {
      const answer = await json(body)
      t.equal(answer.status, 422)
      t.ok(answer.text.length < 50_000, `${body.length} bytes are answered by ${answer.text.length}`)
    }
  })
})
