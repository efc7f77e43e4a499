import { readFileSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer, isRefused, refusesToken } from '../support/answers.ts'
import { type Answer, type Service, address, startService } from '../support/service.ts'

const PAGE = readFileSync('docs/from-fastapi-template.md', 'utf8')
const [, table = ''] = /^## What is different$([^]*?)^## /m.exec(PAGE) ?? []
/** What the template does, and what this service does instead. */
const told = table
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| -'))
  .slice(1)
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, theirs = '', ours = '']) => ({ theirs, ours }))

const PASSWORD = 'correct horse battery'
const names = (answer: Answer) => Object.keys(answer.body as object).toSorted()
const mailsTo = async ({ rows }: Service, email: string) =>
  (await rows<{ message: string }>(sql`select message from emails where recipient = ${email}`)).map(
    ({ message }) => message,
  )
const me = (service: Service, token: string) =>
  service.call('GET', '/users/me', { headers: { authorization: `Bearer ${token}` } })

/** What is seen of each line, by the beginning of what the template does. */
const seen: Record<string, (t: Test, service: Service) => Promise<unknown>> = {
  'a bad or expired token': async (t, service) => refusesToken(t, await me(service, 'bad')),
  async 'a token whose user is gone'(t, service) {
    const ada = await service.person()
    await service.call('DELETE', '/users/me', { as: ada })
    refusesToken(t, await me(service, ada.token))
  },
  async 'a token whose user is inactive'(t, service) {
    const ada = await service.person()
    await service.call('PATCH', `/users/${ada.id}`, { as: service.admin, body: { is_active: false } })
    refusesToken(t, await me(service, ada.token))
  },
  async 'a row of somebody else'(t, { call, person }) {
    const [ada, bob] = [await person(), await person()]
    const { body } = await call('POST', '/papers/', { as: ada, body: { title: 'x' } })
    isAnswer(t, await call('GET', `/papers/${body.id}`, { as: bob }), 403, 'Not enough permissions')
  },
  async 'errors are'(t, { call, signIn }) {
    t.same(names(await signIn('nobody@example.com', 'wrong')), ['code', 'detail'])
    const refused = await call('POST', '/users/signup', { body: { email: 'secret', password: PASSWORD } })
    isRefused(t, refused, ['body.email'])
    t.notMatch(refused.text, 'secret')
  },
  async 'access tokens live 8 days'(t, { again, call, person, signIn }) {
    const ada = await person()
    const { body } = await signIn(ada.email, ada.password)
    t.equal(body.expires_in, 60 * 60)
    const renewed = await call('POST', '/login/refresh-token', {
      body: { refresh_token: body.refresh_token },
    })
    t.equal(renewed.status, 200)
    const other = await again(ada)
    const change = { current_password: ada.password, new_password: 'battery horse correct' }
    t.equal((await call('PATCH', '/users/me/password', { as: ada, body: change })).status, 200)
    refusesToken(t, await call('GET', '/users/me', { as: other }))
    t.equal((await call('POST', '/login/logout', { as: ada })).status, 200)
    refusesToken(t, await call('GET', '/users/me', { as: ada }))
  },
  async '`Token` is'(t, { admin, signIn }) {
    t.same(names(await signIn(admin.email, admin.password)), [
      'access_token',
      'expires_in',
      'refresh_token',
      'token_type',
    ])
  },
  async '`UserPublic`'(t, { admin, call }) {
    t.equal((await call('GET', '/users/me', { as: admin })).body.is_verified, true)
  },
  async 'any password of 8 characters'(t, { call, signIn }) {
    isRefused(t, await call('POST', '/users/signup', { body: { email: address(), password: 'password1' } }), [
      'body.password',
    ])
    t.equal((await signIn('admin@example.com', 'changethis')).status, 200, 'an old one goes on')
  },
  async 'addresses differ by case'(t, { call, signIn }) {
    const email = address()
    const given = `Ada.${email}`
    t.equal(
      (await call('POST', '/users/signup', { body: { email: given, password: PASSWORD } })).body.email,
      given,
    )
    t.equal((await signIn(given.toUpperCase(), PASSWORD)).status, 200)
  },
  async '`POST /users/` mails the password'(t, service) {
    const body = { email: address(), password: PASSWORD }
    t.equal((await service.call('POST', '/users/', { as: service.admin, body })).status, 200)
    t.same(await mailsTo(service, body.email), ['welcome'])
    const inbox = await service.app.inject('/inbox')
    t.notMatch(inbox.body, PASSWORD)
  },
  async 'sign-up verifies nothing'(t, service) {
    const body = { email: address(), password: PASSWORD }
    await service.call('POST', '/users/signup', { body })
    t.same(await mailsTo(service, body.email), ['verification'])
  },
  async 'reset tokens are JWTs'(t, { call, person, resetToken }) {
    const token = await resetToken((await person()).email)
    const reset = () =>
      call('POST', '/reset-password/', { body: { token, new_password: 'battery horse correct' } })
    t.equal((await reset()).status, 200)
    isAnswer(t, await reset(), 400, 'Invalid token')
  },
  async 'no limit on tries'(t) {
    const { signIn } = await startService(t, { RATE_LIMIT_ENABLED: 'true' })
    const tries: Answer[] = []
    for (let n = 0; n < 20; n++) tries.push(await signIn('nobody@example.com', 'wrong'))
    const last = tries.at(-1)!
    t.equal(last.status, 429)
    t.match(last.headers['retry-after'], /^\d+$/)
  },
  async 'superusers change users at any time'(t, service) {
    const { call, person, rows, superuser } = service
    const [root, ada] = [await superuser(), await person()]
    await rows(
      sql`update sessions set authenticated_at = now() - interval '59 minutes' where user_id = ${root.id}`,
    )
    const change = () => call('PATCH', `/users/${ada.id}`, { as: root, body: { full_name: 'x' } })
    t.equal((await change()).status, 200)
    await rows(
      sql`update sessions set authenticated_at = now() - interval '61 minutes' where user_id in (${root.id}, ${ada.id})`,
    )
    isAnswer(t, await change(), 403, 'Recent sign-in required')
    isAnswer(t, await call('DELETE', '/users/me', { as: ada }), 403, 'Recent sign-in required')
  },
  async 'the last superuser can be removed'(t) {
    const { admin, call } = await startService(t)
    isAnswer(
      t,
      await call('PATCH', `/users/${admin.id}`, { as: admin, body: { is_superuser: false } }),
      403,
      'The last active superuser cannot be removed',
    )
  },
  async '`limit` is any number'(t, { admin, call }) {
    for (const limit of [1, 1000])
      t.equal((await call('GET', `/users/?limit=${limit}`, { as: admin })).status, 200)
    for (const limit of [0, 1001])
      isRefused(t, await call('GET', `/users/?limit=${limit}`, { as: admin }), ['query.limit'])
  },
}

void test('every line of "What is different" in docs/from-fastapi-template.md is so', async (t) => {
  const service = await startService(t)
  const isOf = ({ theirs }: { theirs: string }) =>
    Object.keys(seen).filter((start) => theirs.startsWith(start))
  t.same(
    told.map((line) => isOf(line).length),
    told.map(() => 1),
    'each line has one test',
  )
  t.equal(told.length, Object.keys(seen).length, 'each test is of a line')
  for (const line of told)
    await t.test(`${line.theirs} → ${line.ours}`, (t) => seen[isOf(line)[0]!]!(t, service))
})
