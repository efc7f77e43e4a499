import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { type Person, address, startService } from '../support/service.ts'

const NO_PRIVILEGES = "The user doesn't have enough privileges"
const LAST = 'The last active superuser cannot be removed'
const TAKEN_BY_ANOTHER = 'User with this email already exists'
const NOBODY = '/users/00000000-0000-4000-8000-000000000000'

void test('users, for superusers', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, signIn, rows, admin } = service
  const ada = await service.person()
  const password = 'correct horse battery'

  await t.test('managing users is 401 or 403 for others, before their input is validated', async (t) => {
    for (const [method, path] of [
      ['GET', '/users/?limit=abc'],
      ['POST', '/users/'],
      ['PATCH', `/users/${ada.id}`],
      ['DELETE', '/users/1'],
    ] as const) {
      const body = method === 'GET' || method === 'DELETE' ? undefined : { email: 5 }
      asksForToken(t, await call(method, path, { body }), `${method} ${path}`)
      isAnswer(t, await call(method, path, { as: ada, body }), 403, NO_PRIVILEGES, `${method} ${path}`)
    }
  })

  await t.test('the list of users is complete, newest first, and paged', async (t) => {
    const newest: Person[] = []
    for (let made = 0; made < 3; made++) {
      newest.unshift(await service.person())
      await pause(2) // the order is that of created_at, in milliseconds
    }
    const list = (query: string) => call('GET', `/users/${query}`, { as: admin })
    const all = (await list('')).body
    t.strictSame(Object.keys(all).toSorted(), ['count', 'data', 'next_cursor'])
    t.equal(all.count, all.data.length)
    t.strictSame(
      all.data.slice(0, 3).map(({ id }: { id: string }) => id),
      newest.map(({ id }) => id),
    )
    const me = (await call('GET', '/users/me', { as: ada })).body
    t.strictSame(
      all.data.find(({ id }: { id: string }) => id === ada.id),
      me,
      'as everybody sees themselves',
    )
    const { next_cursor, ...page } = (await list('?skip=1&limit=2')).body
    t.strictSame(page, { data: all.data.slice(1, 3), count: all.count })
    t.type(next_cursor, 'string')
    isAnswer(
      t,
      await list('?skip=1000'),
      200,
      { data: [], count: all.count, next_cursor: null },
      'past the end',
    )
    isRefused(t, await list('?skip=-1&limit=0'), ['query.skip', 'query.limit'])
    isRefused(t, await list('?skip=abc&limit=1001'), ['query.skip', 'query.limit'])
  })

  await t.test('a user created by a superuser is mailed a welcome, without the password', async (t) => {
    const email = `New.${address()}`
    const body = {
      email,
      password,
      full_name: 'New',
      is_superuser: true,
      is_verified: true,
    }
    const answer = await call('POST', '/users/', { as: admin, body })
    const { id, created_at } = answer.body
    const flags = { is_active: true, is_superuser: true, is_verified: false }
    isAnswer(t, answer, 200, { id, email, ...flags, full_name: 'New', created_at })
    const mails = await rows<{ message: string; recipient: string; params: object; token_id: string }>(
      sql`select message, recipient, params, token_id from emails where user_id = ${id}`,
    )
    t.match(mails, [{ message: 'welcome', recipient: email, token_id: /.{36}/ }])
    t.strictSame(mails[0]?.params, {})
  })

  await t.test(
    'a user who is created inactive gets the welcome mail once, when they are activated',
    async (t) => {
      const email = address()
      const { body } = await call('POST', '/users/', {
        as: admin,
        body: { email, password, is_active: false },
      })
      const mails = () =>
        rows<{ message: string; token_id: string }>(
          sql`select message, token_id from emails where user_id = ${body.id} order by created_at`,
        )
      const administer = (changes: object) => call('PATCH', `/users/${body.id}`, { as: admin, body: changes })
      await administer({ full_name: 'New' })
      t.strictSame(await mails(), [], 'its link would say that they are not active')
      t.equal((await administer({ is_active: true })).status, 200)
      const [welcome] = await mails()
      t.equal(welcome?.message, 'welcome')
      const token = service.app.auth.oneTimeTokens.sign('reset_password', welcome!.token_id)
      const chosen = { token, new_password: 'a password of my own' }
      t.equal((await call('POST', '/reset-password/', { body: chosen })).status, 200)
      for (const is_active of [false, true, false, true]) await administer({ is_active })
      t.strictSame(
        (await mails()).map(({ message }) => message),
        ['welcome', 'password_changed'],
      )
    },
  )

  await t.test('the link of the welcome mail sets a password', async (t) => {
    const { body } = await call('POST', '/users/', { as: admin, body: { email: address(), password } })
    t.match(body, { is_active: true, is_superuser: false, full_name: null })
    const [mail] = await rows<{ token_id: string }>(
      sql`select token_id from emails where user_id = ${body.id}`,
    )
    const token = service.app.auth.oneTimeTokens.sign('reset_password', mail?.token_id ?? '')
    const new_password = 'a horse of their own'
    t.equal((await call('POST', '/reset-password/', { body: { token, new_password } })).status, 200)
    t.equal((await signIn(body.email, new_password)).status, 200)
  })

  await t.test('creating a user with a taken address is 400, with invalid fields 422', async (t) => {
    const create = (body: unknown) => call('POST', '/users/', { as: admin, body })
    const email = ada.email.toUpperCase()
    const taken = await create({ email, password })
    isAnswer(t, taken, 400, 'The user with this email already exists in the system.')
    isRefused(t, await create({}), ['body.email', 'body.password'])
    const flags = { is_active: null, is_superuser: 'true' }
    isRefused(t, await create({ email, password, ...flags }), ['body.is_active', 'body.is_superuser'])
  })

  await t.test('a superuser can read any user, and an unknown id is 404', async (t) => {
    const me = (await call('GET', '/users/me', { as: ada })).body
    isAnswer(t, await call('GET', `/users/${ada.id}`, { as: admin }), 200, me)
    isAnswer(t, await call('GET', NOBODY, { as: admin }), 404, 'User not found')
  })

  await t.test('PATCH by a superuser changes the fields that are sent and keeps the rest', async (t) => {
    const bob = await service.person()
    const change = (body: unknown) => call('PATCH', `/users/${bob.id}`, { as: admin, body })
    const before = (await change({})).body
    t.match(before, { id: bob.id, email: bob.email, full_name: 'Ada', is_active: true, is_superuser: false })
    const unknown = { is_verified: true, hashed_password: 'x', id: admin.id }
    isAnswer(t, await change({ full_name: null, ...unknown }), 200, { ...before, full_name: null })
    const email = address()
    const all = { email, full_name: 'Bob', is_superuser: true }
    isAnswer(t, await change(all), 200, { ...before, ...all })
    t.equal((await signIn(email, bob.password)).status, 200, 'the password stayed')
    await change({ password: 'another horse' })
    t.equal((await signIn(email, bob.password)).status, 400)
    t.equal((await signIn(email, 'another horse')).status, 200)
  })

  await t.test('changing a user to a taken address is 409, an unknown id 404, bad fields 422', async (t) => {
    const change = (body: unknown, path = `/users/${ada.id}`) => call('PATCH', path, { as: admin, body })
    isAnswer(t, await change({ email: admin.email.toUpperCase() }), 409, TAKEN_BY_ANOTHER)
    const missing = 'The user with this id does not exist in the system'
    isAnswer(t, await change({ full_name: 'x' }, NOBODY), 404, missing)
    isAnswer(
      t,
      await change({ email: admin.email }, NOBODY),
      404,
      missing,
      'the row comes before the address',
    )
    isRefused(t, await change({}, '/users/1'), ['path.user_id'])
    const nulls = { email: null, password: null, is_active: null, is_superuser: null }
    isRefused(
      t,
      await change(nulls),
      Object.keys(nulls).map((name) => `body.${name}`),
    )
    isRefused(t, await change({ password: '1234567' }), ['body.password'])
  })

  await t.test('a superuser can delete others with their papers, but not themselves', async (t) => {
    const bob = await service.person()
    const paper = (await call('POST', '/papers/', { as: bob, body: { title: 'Engine' } })).body
    const remove = (id: string) => call('DELETE', `/users/${id}`, { as: admin })
    isAnswer(t, await remove(bob.id.toUpperCase()), 200, { message: 'User deleted successfully' })
    isAnswer(t, await remove(bob.id), 404, 'User not found')
    isAnswer(t, await call('GET', `/papers/${paper.id}`, { as: admin }), 404, 'Paper not found')
    isAnswer(t, await call('DELETE', NOBODY, { as: admin }), 404, 'User not found')
    for (const id of [admin.id, admin.id.toUpperCase()])
      isAnswer(t, await remove(id), 403, 'Super users are not allowed to delete themselves')
    isRefused(t, await remove('1'), ['path.user_id'])
  })

  await t.test('fault 12: the last active superuser cannot be demoted or deactivated', async (t) => {
    await rows(sql`delete from users where is_superuser and id <> ${admin.id}`)
    const change = (body: unknown) => call('PATCH', `/users/${admin.id}`, { as: admin, body })
    isAnswer(t, await change({ is_superuser: false }), 403, LAST)
    isAnswer(t, await change({ is_active: false }), 403, LAST)
    isAnswer(t, await change({ is_active: false, password, email: ada.email }), 403, LAST, 'before 409')
    t.equal((await change({ full_name: 'Root', is_superuser: true, is_active: true })).status, 200)

    const inactive = await service.superuser()
    await call('PATCH', `/users/${inactive.id}`, { as: admin, body: { is_active: false } })
    isAnswer(t, await change({ is_superuser: false }), 403, LAST, 'an inactive one does not count')
    t.equal((await call('DELETE', `/users/${inactive.id}`, { as: admin })).status, 200)

    const second = await service.superuser()
    t.match((await change({ is_superuser: false })).body, { is_superuser: false }, 'with another one it goes')
    const restored = { as: second, body: { is_superuser: true } }
    t.equal((await call('PATCH', `/users/${admin.id}`, restored)).status, 200)
  })
})
