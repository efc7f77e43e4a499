import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { type Person, address, startService } from '../support/service.ts'

const NOT_ALLOWED = 'API key not allowed'
const REVOKED = 'Could not validate credentials'

void test('API keys', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, call, rows, admin, person } = service
  const make = (as: Person, permissions: string[], more: object = {}) =>
    call('POST', '/users/me/api-keys', { as, body: { name: 'A key', permissions, ...more } })
  /** The same person by a key. */
  const byKey = async (as: Person, ...permissions: string[]): Promise<Person & { key_id: string }> => {
    const { body } = await make(as, permissions)
    return { ...as, token: body.key as string, key_id: body.id as string }
  }
  const me = (as: Person) => call('GET', '/users/me', { as })
  const list = async (as: Person) =>
    (await call('GET', '/users/me/api-keys', { as })).body.data as { id: string }[]

  await t.test('a key is shown once, and its hash alone is stored', async (t) => {
    const ada = await person()
    const { body, headers } = await make(ada, ['users:read'], { name: 'Export' })
    t.match(body, { name: 'Export', permissions: ['users:read'], key: /^gw_[\w-]{49}$/, expires_at: null })
    t.equal(headers['cache-control'], 'no-store')
    t.match(await list(ada), [{ id: body.id, name: 'Export', last_used_at: null }])
    const stored = JSON.stringify(await rows(sql`select * from api_keys where user_id = ${ada.id}`))
    t.notMatch(stored, body.key as string)
    t.notMatch(JSON.stringify(await list(ada)), body.key as string)
  })

  await t.test('it does what its permissions name, and what writes does not bring what reads', async (t) => {
    const ada = await person()
    const [reads, writes] = [await byKey(ada, 'papers:read'), await byKey(ada, 'papers:write')]
    const create = (as: Person) => call('POST', '/papers/', { as, body: { title: 'By a key' } })
    t.equal((await create(writes)).status, 200)
    isAnswer(t, await create(reads), 403, NOT_ALLOWED)
    isAnswer(t, await call('GET', '/papers/', { as: writes }), 403, NOT_ALLOWED)
    t.match((await call('GET', '/papers/', { as: reads })).body, { count: 1, data: [{ owner_id: ada.id }] })
    isAnswer(t, await me(reads), 403, NOT_ALLOWED)
  })

  await t.test(
    'CVE-2025-61928: it gets to nothing that changes accounts, and makes no keys, whatever its permissions',
    async (t) => {
      const ada = await person()
      const all = await byKey(ada, ...app.permissions)
      const operations = operationsOf(documentOf(app)).filter(
        ({ operation: { security } }) => security.length === 1,
      )
      t.ok(operations.length > 15)
      for (const { method, path } of operations) {
        const at = path.replaceAll(/\{\w+\}/g, ada.id)
        const answer = await call(method, at, { as: all, body: method === 'GET' ? undefined : {} })
        t.equal(answer.status, 403, `${method} ${path}`)
      }
      for (const [method, path] of [
        ['POST', '/users/me/api-keys'],
        ['PATCH', '/users/me'],
        ['PATCH', '/users/me/password'],
      ] as const)
        isAnswer(t, await call(method, path, { as: all, body: {} }), 403, NOT_ALLOWED)
    },
  )

  await t.test('nothing that needs a recent sign-in has a permission', async (t) => {
    const routes = operationsOf(documentOf(app)).filter(({ operation }) =>
      operation.description?.endsWith('Needs a recent sign-in.'),
    )
    t.ok(routes.length > 5)
    for (const { operation } of routes) t.strictSame(operation.security, [{ OAuth2PasswordBearer: [] }])
  })

  await t.test('a superuser’s key reads what superusers do; a demotion ends that', async (t) => {
    const root = await service.superuser()
    const key = await byKey(root, 'users:read')
    t.equal((await call('GET', '/users/', { as: key })).status, 200)
    await call('PATCH', `/users/${root.id}`, { as: admin, body: { is_superuser: false } })
    isAnswer(t, await call('GET', '/users/', { as: key }), 403, "The user doesn't have enough privileges")
    t.equal((await me(key)).status, 200)
  })

  await t.test('what is no key is 401, and asks the database nothing', async (t) => {
    const ada = await person()
    const key = await byKey(ada, 'users:read')
    const last = key.token.endsWith('A') ? 'B' : 'A'
    for (const token of [
      'gw_',
      'gw_x',
      key.token.slice(0, -1),
      `${key.token.slice(0, -1)}${last}`,
      `${key.token}x`,
    ])
      isAnswer(t, await me({ ...ada, token }), 401, REVOKED)
  })

  await t.test('it stops working when it is deleted or expires', async (t) => {
    const ada = await person()
    const [first, second] = [await byKey(ada, 'users:read'), await byKey(ada, 'users:read')]
    isAnswer(t, await call('DELETE', `/users/me/api-keys/${first.key_id}`, { as: ada }), 200, {
      message: 'API key deleted',
    })
    isAnswer(t, await me(first), 401, REVOKED)
    await rows(sql`update api_keys set expires_at = now() where id = ${second.key_id}`)
    isAnswer(t, await me(second), 401, REVOKED)
    isRefused(t, await make(ada, ['users:read'], { expires_at: new Date(Date.now() - 1000).toISOString() }), [
      'body.expires_at',
    ])
    const { body } = await make(ada, ['users:read'], { expires_at: '2099-01-01T00:00:00+01:00' })
    t.equal(body.expires_at, '2098-12-31T23:00:00.000Z')
    t.equal((await make(ada, ['users:read'], { expires_at: '2099-01-01T00:00:00+20:50' })).status, 200)
    isRefused(t, await make(ada, ['users:read'], { expires_at: '9999-12-31T23:59:59-23:59' }), [
      'body.expires_at',
    ])
  })

  await t.test('deactivation and deletion end keys for good; signing out and a reset do not', async (t) => {
    const [ada, bob] = [await person(), await person()]
    const key = await byKey(ada, 'users:read')
    await call('POST', '/login/logout', { as: ada })
    t.equal((await me(key)).status, 200)
    const token = await service.resetToken(ada.email)
    await call('POST', '/reset-password/', { body: { token, new_password: 'another horse battery' } })
    t.equal((await me(key)).status, 200)
    const [mail] = await rows<{ params: { keys: string } }>(
      sql`select params from emails where recipient = ${ada.email} and message = 'password_changed'`,
    )
    t.equal(mail?.params.keys, 'A key', 'but the mail names them')
    for (const is_active of [false, true])
      await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active } })
    isAnswer(t, await me(key), 401, REVOKED)
    const theirs = await byKey(bob, 'users:read')
    await call('DELETE', '/users/me', { as: bob })
    isAnswer(t, await me(theirs), 401, REVOKED)
  })

  await t.test(
    'a permission that no operation has is refused, and there are fifty keys at most',
    async (t) => {
      const ada = await person()
      for (const one of ['users:write', 'everything', 'Users:read', '*'])
        isRefused(t, await make(ada, ['users:read', one]), ['body.permissions.1'])
      isRefused(t, await make(ada, []), ['body.permissions'])
      for (let count = 0; count < 50; count++) await make(ada, ['users:read', 'users:read'])
      isAnswer(t, await make(ada, ['users:read']), 400, 'Too many API keys')
      t.match((await list(ada))[0], { permissions: ['users:read'] })
    },
  )

  await t.test('of ten that are made at once beside 45, five are made', async (t) => {
    for (let round = 0; round < rounds(20, 1); round++) {
      const ada = await person()
      await rows(sql`
        insert into api_keys (user_id, name, hash, permissions)
        select ${ada.id}, 'A key', ${ada.id} || n, '{users:read}' from generate_series(1, 45) as n`)
      const answers = await Promise.all(Array.from({ length: 10 }, () => make(ada, ['users:read'])))
      for (const answer of answers) if (answer.status !== 200) isAnswer(t, answer, 400, 'Too many API keys')
      t.equal((await list(ada)).length, 50)
    }
  })

  await t.test('superusers list and delete those of a user, who is told', async (t) => {
    const [ada, bob] = [await person(), await person()]
    const key = await byKey(ada, 'users:read')
    t.match((await call('GET', `/users/${ada.id}/api-keys`, { as: admin })).body.data, [{ id: key.key_id }])
    isAnswer(
      t,
      await call('DELETE', `/users/${bob.id}/api-keys/${key.key_id}`, { as: admin }),
      404,
      'API key not found',
    )
    isAnswer(
      t,
      await call('DELETE', `/users/me/api-keys/${key.key_id}`, { as: bob }),
      404,
      'API key not found',
    )
    t.equal((await call('DELETE', `/users/${ada.id}/api-keys/${key.key_id}`, { as: admin })).status, 200)
    isAnswer(t, await me(key), 401, REVOKED)
    const mails = await rows<{ params: { what: string } }>(
      sql`select params from emails where recipient = ${ada.email} and message = 'way_in_changed' order by created_at`,
    )
    t.strictSame(
      mails.map(({ params }) => params.what),
      ['api_key_created', 'api_key_deleted'],
    )
  })

  await t.test('its last use is noted, once a minute at most', async (t) => {
    const ada = await person()
    const key = await byKey(ada, 'users:read')
    const used = async () =>
      (
        await rows<{ used: string | null }>(
          sql`select last_used_at::text as used from api_keys where id = ${key.key_id}`,
        )
      )[0]?.used
    await me(key)
    let first: string | null | undefined
    while (!(first = await used())) await me(key)
    await me(key)
    t.equal(await used(), first)
    await rows(sql`update api_keys set last_used_at = now() - interval '2 minutes' where id = ${key.key_id}`)
    const before = await used()
    await me(key)
    while ((await used()) === before) await me(key)
    t.ok((await used())! > before!)
  })

  await t.test('a stolen address is taken back together with the keys that were made since', async (t) => {
    const ada = await person()
    const kept = await byKey(ada, 'users:read')
    await rows(sql`update users set is_verified = true where id = ${ada.id}`)
    await rows(
      sql`update api_keys set created_at = created_at - interval '73 hours' where user_id = ${ada.id}`,
    )
    await call('PATCH', '/users/me', { as: ada, body: { email: address() } })
    const stolen = await byKey(ada, 'users:read')
    const [mail] = await rows<{ token_id: string }>(
      sql`select token_id from emails where recipient = ${ada.email} and message = 'own_address_changed'`,
    )
    const token = app.auth.oneTimeTokens.sign('undo_email_change', mail!.token_id)
    await call('POST', '/undo-email-change/', { body: { token } })
    isAnswer(t, await me(stolen), 401, REVOKED)
    t.equal((await me(kept)).status, 200)
  })
})
