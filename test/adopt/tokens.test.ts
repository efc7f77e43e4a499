import { type Test, test } from 'tap'
import { isAnswer, refusesToken } from '../support/answers.ts'
import { needsPostgres } from '../support/database.ts'
import { expected, serviceOn, templateDatabase } from './support/template.ts'
import { inHours, templateToken, unsigned } from './support/token.ts'

const KEY = expected.secret_key
const ADA = expected.users[0]!
const EIGHT_DAYS = 8 * 24

async function adopted(t: Test, env: Record<string, string> = { ADOPTED_SECRET_KEY: KEY }) {
  const database = await templateDatabase(t)
  await database.adopt()
  const service = await serviceOn(t, database, env)
  const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
  const get = (path: string, token: string) => service.call('GET', path, as(token))
  /** Of `user`, as the template issued it an hour before it expires. */
  const tokenOf = (user: { id: string }, hours = EIGHT_DAYS - 1) =>
    templateToken(KEY, { exp: inHours(hours), sub: user.id })
  return { database, service, as, get, tokenOf }
}

void test('an access token of the template', needsPostgres, async (t) => {
  const { database, service, as, get, tokenOf } = await adopted(t)
  const { call } = service

  await t.test('is honoured until it expires', async (t) => {
    const answer = await get('/users/me', tokenOf(ADA))
    t.equal(answer.status, 200)
    t.match(answer.body, { id: ADA.id, email: ADA.email })
    t.equal((await get('/items/', tokenOf(ADA))).status, 200)
    refusesToken(t, await get('/users/me', tokenOf(ADA, -0.01)))
  })

  await t.test('is shown as a session, which says what it is of', async (t) => {
    const { body } = await get('/users/me/sessions', tokenOf(ADA))
    t.equal(body.count, 1)
    t.match(body.data[0], {
      methods: ['template'],
      user_agent: 'Signed in before the move',
      is_current: true,
    })
  })

  await t.test(
    'is no recent sign-in, nor made one by a password: others may hold one of the same user',
    async (t) => {
      const token = tokenOf(ADA)
      const key = { body: { name: 'cli', permissions: ['items:read'] }, ...as(token) }
      t.match((await call('POST', '/users/me/api-keys', key)).body, { detail: 'Recent sign-in required' })
      const shown = { body: { password: ADA.password }, ...as(token) }
      isAnswer(t, await call('POST', '/login/reauthenticate', shown), 403, 'Recent sign-in required')
      await database.sql`update sessions set authenticated_at = now(), methods = '{template,pwd,otp}' where user_id = ${ADA.id}`
      t.match((await call('POST', '/users/me/api-keys', key)).body, { detail: 'Recent sign-in required' })
    },
  )

  for (const [what, token] of [
    ['that was made after the adoption, and so lives longer', tokenOf(ADA, EIGHT_DAYS + 0.1)],
    ['with another key', templateToken('changethat', { exp: inHours(1), sub: ADA.id })],
    ['that expires never', templateToken(KEY, { sub: ADA.id })],
    ['that expires later than any time', templateToken(KEY, { exp: Number.MAX_SAFE_INTEGER, sub: ADA.id })],
    ['of the algorithm none', unsigned(tokenOf(ADA))],
    ['of HS512', templateToken(KEY, { exp: inHours(1), sub: ADA.id }, 'HS512')],
    ['that has claims of its own', templateToken(KEY, { exp: inHours(1), sub: ADA.id, scope: 'all' })],
    ['of nobody', templateToken(KEY, { exp: inHours(1), sub: '00000000-0000-4000-8000-000000000000' })],
    ['of a mailed link', templateToken(KEY, { exp: inHours(1), nbf: inHours(-1), sub: ADA.email })],
    ['of an inactive user', tokenOf(expected.users.find(({ what }) => what === 'inactive')!)],
    ['without a signature', `${tokenOf(ADA).split('.').slice(0, 2).join('.')}.`],
  ] as const)
    await t.test(`${what} is refused`, async (t) => refusesToken(t, await get('/users/me', token)))

  await t.test("that names a session is refused, whoever's it is", async (t) => {
    const sub = service.admin.id
    const { body } = await call('GET', '/users/me/sessions', { as: service.admin })
    const { id: sid } = body.data.find(({ is_current }: { is_current: boolean }) => is_current)
    refusesToken(t, await get('/users/me', templateToken(KEY, { exp: inHours(1), sub, sid })))
    refusesToken(
      t,
      await get('/users/me', templateToken(KEY, { exp: inHours(1), iat: inHours(0), sub, sid })),
    )
  })

  await t.test('of an inactive user stays refused when they are activated', async (t) => {
    const user = expected.users.find(({ what }) => what === 'inactive')!
    await call('PATCH', `/users/${user.id}`, { as: service.admin, body: { is_active: true } })
    t.equal((await service.signIn(user.email, user.password)).status, 200)
    refusesToken(t, await get('/users/me', tokenOf(user)))
  })

  await t.test('of a user made after the adoption is refused', async (t) => {
    refusesToken(t, await get('/users/me', tokenOf(await service.person())))
  })

  await t.test('ends with its session', async (t) => {
    const user = expected.users[1]!
    const [token, other] = [tokenOf(user), await service.signIn(user.email, user.password)]
    const { body } = await get('/users/me/sessions', token)
    const { id } = body.data.find(({ is_current }: { is_current: boolean }) => is_current)
    t.equal((await call('DELETE', `/users/me/sessions/${id}`, as(other.body.access_token))).status, 200)
    refusesToken(t, await get('/users/me', token))
    t.equal((await get('/users/me', other.body.access_token)).status, 200)
  })

  await t.test('ends when its user signs out with it', async (t) => {
    const token = tokenOf(expected.users[3]!)
    t.equal((await call('POST', '/login/logout', as(token))).status, 200)
    refusesToken(t, await get('/users/me', token))
  })

  await t.test('ends with a change of password in another session', async (t) => {
    const user = expected.users[2]!
    const [token, other] = [tokenOf(user), await service.signIn(user.email, user.password)]
    const body = { current_password: user.password, new_password: 'another horse battery' }
    const changed = await call('PATCH', '/users/me/password', { body, ...as(other.body.access_token) })
    t.equal(changed.status, 200)
    refusesToken(t, await get('/users/me', token))
  })

  await t.test(
    'ends with a change of password that is made with it, as others may hold one, too',
    async (t) => {
      const user = expected.users.find(({ what }) => what === 'bcrypt $2a$, cost 10')!
      const body = { current_password: user.password, new_password: 'another horse battery' }
      t.equal((await call('PATCH', '/users/me/password', { body, ...as(tokenOf(user)) })).status, 200)
      refusesToken(t, await get('/users/me', tokenOf(user, 24)))
    },
  )

  await t.test('ends when its user signs out everywhere else with it', async (t) => {
    const user = expected.users.find(
      ({ what }) => what === 'argon2 with older parameters (m=102400,t=2,p=8)',
    )!
    t.equal((await call('DELETE', '/users/me/sessions', as(tokenOf(user)))).status, 200)
    refusesToken(t, await get('/users/me', tokenOf(user, 24)))
  })

  await t.test('ends with a password that a superuser sets', async (t) => {
    const user = expected.users.find(({ what }) => what === 'bcrypt $2y$ (PHP and passlib)')!
    const body = { password: 'another horse battery' }
    t.equal((await call('PATCH', `/users/${user.id}`, { as: service.admin, body })).status, 200)
    refusesToken(t, await get('/users/me', tokenOf(user)))
  })

  await t.test('ends with the demotion of a superuser', async (t) => {
    const boss = expected.users.find(({ what }) => what === 'second superuser')!
    t.equal((await get('/users/', tokenOf(boss))).status, 200)
    const body = { is_superuser: false }
    t.equal((await call('PATCH', `/users/${boss.id}`, { as: service.admin, body })).status, 200)
    refusesToken(t, await get('/users/me', tokenOf(boss)))
  })

  await t.test('ends with the deactivation of its user', async (t) => {
    const user = expected.users.find(({ what }) => what === 'common password')!
    const path = `/users/${user.id}`
    for (const is_active of [false, true])
      await call('PATCH', path, { as: service.admin, body: { is_active } })
    refusesToken(t, await get('/users/me', tokenOf(user)))
  })

  await t.test('is gone with the day that the adoption said, whatever is in it', async (t) => {
    const user = expected.users.find(({ what }) => what === 'argon2i')!
    t.equal((await get('/users/me', tokenOf(user))).status, 200)
    await database.sql`update sessions set expires_at = now() where user_id = ${user.id}`
    refusesToken(t, await get('/users/me', tokenOf(user)))
  })
})

void test('without ADOPTED_SECRET_KEY no token of the template is honoured', needsPostgres, async (t) => {
  const { get, tokenOf } = await adopted(t, {})
  refusesToken(t, await get('/users/me', tokenOf(ADA)))
})

void test('with --token-days 0 no token of the template is honoured', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt({ tokenDays: 0 })
  const { call } = await serviceOn(t, database, { ADOPTED_SECRET_KEY: KEY })
  const token = templateToken(KEY, { exp: inHours(1), sub: ADA.id })
  refusesToken(t, await call('GET', '/users/me', { headers: { authorization: `Bearer ${token}` } }))
})

void test('one key for both lets in the tokens of both, as each is', needsPostgres, async (t) => {
  const SECRET_KEY = 'only for tests, and long enough for that'
  const { get, service } = await adopted(t, { SECRET_KEY, ADOPTED_SECRET_KEY: SECRET_KEY })
  const token = templateToken(SECRET_KEY, { exp: inHours(1), sub: ADA.id })
  t.equal((await get('/users/me', token)).status, 200)
  t.equal((await get('/users/me', service.admin.token)).status, 200)
  refusesToken(t, await get('/users/me', templateToken(SECRET_KEY, { exp: inHours(-1), sub: ADA.id })))
})
