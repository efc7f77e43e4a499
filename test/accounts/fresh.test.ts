import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { NEEDS_RECENT_SIGN_IN, SUPERUSERS_ONLY } from '../../src/contract/document.ts'
import { isAnswer } from '../support/answers.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { type Person, address, startService } from '../support/service.ts'

const STALE = 'Recent sign-in required'
const REAUTHENTICATED = { message: 'Reauthenticated' }

void test('a recent sign-in', async (t) => {
  const service = await startService(t, { TRUST_PROXY: '127.0.0.1', REAUTHENTICATION_MINUTES: '30' })
  const { app, call, rows, admin } = service
  const sessionsOf = async (as: Person) =>
    (await call('GET', '/users/me/sessions', { as })).body.data as Session[]
  const current = async (as: Person) => (await sessionsOf(as)).find(({ is_current }) => is_current)!
  interface Session {
    id: string
    created_at: string
    authenticated_at: string
    methods: string[]
    is_current: boolean
  }
  /** Makes all sessions of somebody so many minutes older. */
  const age = ({ id }: Person, minutes = 31) =>
    rows(sql`update sessions set created_at = created_at - make_interval(mins => ${minutes}),
      authenticated_at = authenticated_at - make_interval(mins => ${minutes}) where user_id = ${id}`)
  const again = (as: Person, password: string, headers = {}) =>
    call('POST', '/login/reauthenticate', { as, body: { password }, headers })

  await t.test('a session says when and how its user showed who they are', async (t) => {
    const ada = await service.person()
    const session = await current(ada)
    t.strictSame(session.methods, ['pwd'])
    t.equal(session.authenticated_at, session.created_at)
  })

  await t.test('every operation that needs one says so, and refuses an older session', async (t) => {
    const needing = operationsOf(documentOf(app)).filter(({ operation }) =>
      operation.description?.endsWith(NEEDS_RECENT_SIGN_IN),
    )
    const [ada, root] = [await service.person(), await service.superuser()]
    for (const person of [ada, root]) await age(person)
    t.ok(needing.length >= 5)
    for (const { method, path, operation } of needing) {
      const as = operation.description?.startsWith(SUPERUSERS_ONLY) ? root : ada
      const at = path
        .replace('{user_id}', ada.id)
        .replace('{email}', ada.email)
        .replaceAll(/\{\w+\}/g, ada.id)
      isAnswer(t, await call(method, at, { as, body: {} }), 403, STALE, `${method} ${path}`)
      t.ok('recent_sign_in_required' in operation.responses[403]!.content!['application/json']!.examples!)
    }
    t.equal((await call('GET', '/users/me', { as: ada })).status, 200, 'the rest goes on')
    t.equal((await call('GET', '/users/', { as: root })).status, 200)
  })

  await t.test('another address needs one, a name and the same address do not', async (t) => {
    const ada = await service.person()
    await age(ada)
    const change = (body: object) => call('PATCH', '/users/me', { as: ada, body })
    isAnswer(t, await change({ email: address() }), 403, STALE)
    isAnswer(t, await change({ email: address(), full_name: 'Grace' }), 403, STALE)
    t.match((await change({ email: ada.email.toUpperCase(), full_name: 'Ada King' })).body, {
      email: ada.email.toUpperCase(),
      full_name: 'Ada King',
    })
  })

  await t.test('the password gives one, for the session that asks and no other', async (t) => {
    const ada = await service.person()
    const elsewhere = await service.again(ada)
    await age(ada)
    const before = await current(ada)
    isAnswer(t, await again(ada, 'a wrong password'), 400, 'Incorrect password')
    isAnswer(t, await call('PATCH', '/users/me', { as: ada, body: { email: address() } }), 403, STALE)
    isAnswer(t, await again(ada, ada.password), 200, REAUTHENTICATED)
    const after = await current(ada)
    t.ok(after.authenticated_at > before.authenticated_at)
    t.strictSame([after.created_at, after.methods], [before.created_at, ['pwd']])
    isAnswer(t, await call('DELETE', '/users/me', { as: elsewhere }), 403, STALE)
    t.equal((await call('PATCH', '/users/me', { as: ada, body: { email: address() } })).status, 200)
  })

  await t.test('a refresh goes on with a session, and is no sign-in', async (t) => {
    const ada = await service.person()
    const { body } = await service.signIn(ada.email, ada.password)
    await age(ada)
    const next = await call('POST', '/login/refresh-token', { body: { refresh_token: body.refresh_token } })
    const as = { ...ada, token: next.body.access_token as string }
    isAnswer(t, await call('DELETE', '/users/me', { as }), 403, STALE)
  })

  await t.test('nobody gets one with the password of somebody else', async (t) => {
    const [ada, eve] = [await service.person(), await service.person({ password: 'a password of her own' })]
    await age(eve)
    isAnswer(t, await again(eve, ada.password), 400, 'Incorrect password')
    isAnswer(
      t,
      await again({ ...eve, token: 'garbage' }, eve.password),
      401,
      'Could not validate credentials',
    )
    isAnswer(t, await again(eve, 'x'.repeat(200_000)), 413, 'Payload Too Large')
  })

  await t.test('a session from before it was noted counts from when it was opened', async (t) => {
    const ada = await service.person()
    await rows(sql`update sessions set authenticated_at = null where user_id = ${ada.id}`)
    const session = await current(ada)
    t.equal(session.authenticated_at, session.created_at)
    await rows(sql`update sessions set created_at = now() - interval '31 minutes' where user_id = ${ada.id}`)
    isAnswer(t, await call('DELETE', '/users/me', { as: ada }), 403, STALE)
  })

  await t.test('a superuser who was demoted, or a session that has ended, gets none', async (t) => {
    const root = await service.superuser()
    const { id } = await current(root)
    await call('PATCH', `/users/${root.id}`, { as: admin, body: { is_superuser: false } })
    isAnswer(t, await again(root, root.password), 401, 'Could not validate credentials')
    t.strictSame(await rows(sql`select id from sessions where id = ${id}`), [])
  })
})

void test('guesses at the password of a session count as those of sign-ins', async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'true' })
  const { call } = service
  const ada = await service.person()
  const again = (password: string) =>
    call('POST', '/login/reauthenticate', { as: ada, body: { password }, from: '203.0.113.9' })
  const signIn = (password: string) => service.signIn(ada.email, password, '203.0.113.9')
  for (let guess = 0; guess < 5; guess++) {
    t.equal((await again('a wrong password')).status, 400)
    t.equal((await signIn('a wrong password')).status, 400)
  }
  isAnswer(t, await again(ada.password), 429, 'Too many requests')
  isAnswer(t, await signIn(ada.password), 429, 'Too many requests')
  t.equal((await service.signIn(ada.email, ada.password)).status, 200, 'a known network is not locked out')
})
