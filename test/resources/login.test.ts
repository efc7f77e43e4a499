import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { faultsBody } from '../support/errors.ts'
import { address, startService } from '../support/service.ts'

const INCORRECT = 'Incorrect email or password'
const LOGIN = '/login/access-token'

void test('login', async (t) => {
  const service = await startService(t)
  const { call, signIn, rows, admin } = service
  const ada = await service.person({ email: `Ada.${address()}` })
  const right = { username: ada.email, password: ada.password }

  await t.test('the right password is answered with an access and a refresh token', async (t) => {
    const answer = await call('POST', LOGIN, { form: right, headers: { 'user-agent': 'a browser' } })
    const { access_token, refresh_token } = answer.body
    isAnswer(t, answer, 200, { access_token, token_type: 'bearer', expires_in: 3600, refresh_token })
    t.equal(answer.headers['cache-control'], 'no-store', 'no proxy and no browser keeps them')
    t.type(refresh_token, 'string')

    const [header, claims] = (access_token as string)
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
    const [session] = await rows<{ id: string; user_agent: string; ip_address: string }>(
      sql`select id, user_agent, ip_address from sessions where user_id = ${ada.id} order by created_at desc limit 1`,
    )
    t.strictSame(header, { alg: 'HS256', typ: 'JWT', kid: header.kid })
    t.match(header.kid, /^[\w-]{8}$/, 'which key it was made with')
    t.strictSame(claims, { sub: ada.id, sid: session?.id, gen: 0, iat: claims.iat, exp: claims.iat + 3600 })
    t.match(
      session,
      { user_agent: 'a browser', ip_address: '127.0.0.1' },
      'the owner can tell sessions apart',
    )
  })

  cheapHashing(service)

  await t.test(
    'sign-in ignores the case of the address, and accepts the other fields of OAuth clients',
    async (t) => {
      for (const more of [
        { username: ada.email.toUpperCase() },
        { grant_type: 'password', scope: 'a b', client_id: 'x', client_secret: 'y' },
        { grant_type: '', scope: '', client_id: '', client_secret: '' },
        { unknown: 'field' },
      ])
        t.equal(
          (await call('POST', LOGIN, { form: { ...right, ...more } })).status,
          200,
          JSON.stringify(more),
        )
      t.equal((await call('POST', `${LOGIN}/`, { form: right })).status, 200, 'with a slash at the end')
    },
  )

  await t.test('fault 1: a wrong password and an unknown address are answered alike', async (t) => {
    const wrong = await signIn(ada.email, 'wrong horse battery')
    const unknown = await signIn(address(), 'wrong horse battery')
    isAnswer(t, wrong, 400, INCORRECT)
    isAnswer(t, unknown, 400, INCORRECT)
    t.strictSame(Object.keys(wrong.headers), Object.keys(unknown.headers), 'nor do its headers')
    t.equal(wrong.headers['www-authenticate'], undefined, 'browsers open no dialog')
    for (const [username, password] of [
      [ada.email, ''],
      [ada.email, ada.password.toUpperCase()],
      [ada.email, `${ada.password} `],
      [ada.email, '🦊'.repeat(129)],
      ['no address', 'x'],
      ['', ''],
    ] as const)
      isAnswer(t, await signIn(username, password), 400, INCORRECT, `${username} / ${password.length}`)
  })

  await t.test('only who knows the password learns that an account is inactive', async (t) => {
    const bob = await service.person()
    await call('PATCH', `/users/${bob.id}`, { as: admin, body: { is_active: false } })
    isAnswer(t, await signIn(bob.email, bob.password), 400, 'Inactive user')
    isAnswer(t, await signIn(bob.email, 'wrong horse battery'), 400, INCORRECT)
  })

  await t.test('an invalid sign-in form is 422 at its fields, and JSON is 415', async (t) => {
    isRefused(t, await call('POST', LOGIN, { form: { scope: 'x' } }), ['body.username', 'body.password'])
    isRefused(t, await call('POST', LOGIN), ['body'], 'no body')
    isAnswer(
      t,
      await call('POST', LOGIN, { form: { password: 'x' } }),
      422,
      faultsBody({ type: 'missing', loc: ['body', 'username'], msg: 'Field required' }),
    )
    const refused = async (form: Record<string, string>, places: string[]) =>
      isRefused(t, await call('POST', LOGIN, { form: { ...right, ...form } }), places)
    await refused({ grant_type: 'refresh_token' }, ['body.grant_type'])
    await refused({ username: 'a\0', password: 'b\0' }, ['body.username', 'body.password'])

    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const twice = await call('POST', LOGIN, { headers, body: 'username=a&username=b&password=c' })
    isRefused(t, twice, ['body.username'], 'a field sent twice')
    const json = await call('POST', LOGIN, { body: right })
    isAnswer(t, json, 415, 'Unsupported Media Type', 'it is a form, not JSON')
  })

  await t.test('a sign-in that is sent as FormData (multipart) is accepted', async (t) => {
    const form = new FormData()
    form.set('grant_type', 'password')
    form.set('username', service.admin.email)
    form.set('password', service.admin.password)
    const sent = new Response(form)
    const payload = Buffer.from(await sent.arrayBuffer())
    const headers = { 'content-type': sent.headers.get('content-type') ?? '' }
    const url = '/api/v1/login/access-token'
    const answer = await service.app.inject({ method: 'POST', url, headers, payload })
    t.match(
      { status: answer.statusCode, body: answer.json() },
      { status: 200, body: { access_token: String } },
    )
  })

  await t.test('POST /login/test-token answers with the user of the token', async (t) => {
    const me = await call('GET', '/users/me', { as: ada })
    isAnswer(t, await call('POST', '/login/test-token', { as: ada }), 200, me.body)
    asksForToken(t, await call('POST', '/login/test-token'))
  })

  await t.test('every answer has an X-Request-Id of its own', async (t) => {
    const answers = [await signIn(ada.email, 'wrong'), await signIn(ada.email, ada.password)]
    const ids = answers.map(({ headers }) => headers['x-request-id'])
    t.match(ids, [/.{8}/, /.{8}/])
    t.not(ids[0], ids[1])
  })
})
