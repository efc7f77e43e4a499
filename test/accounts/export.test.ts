import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { credential } from '../support/authenticator.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { browser, somebody } from '../support/provider-browser.ts'
import { type Person, startService } from '../support/service.ts'

void test('the file with all of one’s own data', async (t) => {
  const provider = await startIdentityProvider(t)
  const service = await startService(t, provider.env)
  cheapHashing(service)
  const { call, rows, person, admin } = service
  const take = (as: Person) => call('POST', '/users/me/export', { as })
  const addPapers = (owner: Person, count: number) =>
    rows(sql`
      insert into papers (title, owner_id, created_at)
      select 'Paper ' || number, ${owner.id}::uuid, now() - number * interval '1 second' from generate_series(1, ${count}::integer) as number`)

  await t.test('it has the account, every way in, what was done, and no secret', async (t) => {
    const as = await person({ full_name: 'Ada' })
    const { body: enrolled } = await call('POST', '/users/me/factors/totp', { as, body: {} })
    const { body: made } = await call('POST', '/users/me/api-keys', {
      as,
      body: { name: 'Export', permissions: ['users:read'] },
    })
    const { body: options } = await call('POST', '/users/me/passkeys/options', { as })
    await call('POST', '/users/me/passkeys', { as, body: credential(options.user.id).create(options) })
    await browser(service, provider).link(as, somebody())
    await call('POST', '/papers/', { as, body: { title: 'Engine' } })

    const { status, body, headers, text } = await take(as)
    t.equal(status, 200)
    t.match(headers, {
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': 'attachment; filename="account.json"',
      'cache-control': 'no-store',
    })
    t.match(body, {
      user: { id: as.id, email: as.email, full_name: 'Ada' },
      sessions: [{ is_current: true, methods: ['pwd', 'passkey'] }],
      factors: [{ id: enrolled.id, verified: false }],
      passkeys: [{ transports: [] }],
      identities: [{ provider: 'acme' }],
      api_keys: [{ name: 'Export' }],
      resources: { papers: [{ title: 'Engine', description: null, owner_id: as.id }] },
    })
    const events = (body.activity as { event: string }[]).map(({ event }) => event)
    t.match(events, ['account_exported', 'identity_added', 'passkey_added', 'api_key_created'])
    const [stored] = await rows<{
      hashed_password: string
      secret: string
      hash: string
      public_key: string
    }>(sql`
      select hashed_password, secret, hash, public_key from users, factors, api_keys, passkeys
      where users.id = ${as.id} and factors.user_id = users.id and api_keys.user_id = users.id and passkeys.user_id = users.id`)
    for (const secret of [...Object.values(stored!), enrolled.secret, made.key])
      t.notOk(text.includes(secret))
  })

  await t.test('all rows are in it, once and newest first, however many', async (t) => {
    const as = await person()
    await addPapers(as, 2_500)
    const { body } = await take(as)
    t.same(
      (body.resources.papers as { title: string }[]).map(({ title }) => title),
      Array.from({ length: 2_500 }, (_, at) => `Paper ${at + 1}`),
    )
  })

  await t.test("a superuser's file has their own rows, and nobody else's", async (t) => {
    const [as, other] = [await service.superuser(), await person()]
    await addPapers(as, 2)
    await addPapers(other, 2)
    const { body } = await take(as)
    const owners = (body.resources.papers as { owner_id: string }[]).map(({ owner_id }) => owner_id)
    t.same(owners, [as.id, as.id])
    t.ok((body.activity as { subject_id: string }[]).every(({ subject_id }) => subject_id === as.id))
  })

  await t.test('it needs a recent sign-in, and no API key gets it', async (t) => {
    const as = await person()
    const { body } = await call('POST', '/users/me/api-keys', {
      as,
      body: { name: 'A key', permissions: [...service.app.permissions] },
    })
    isAnswer(t, await take({ ...as, token: body.key }), 403, 'API key not allowed')
    await rows(
      sql`update sessions set authenticated_at = now() - interval '61 minutes' where user_id = ${as.id}`,
    )
    isAnswer(t, await take(as), 403, 'Recent sign-in required')
    isAnswer(t, await call('POST', '/users/me/export'), 401, 'Not authenticated')
  })

  await t.test('what a superuser did is told without saying from where', async (t) => {
    const as = await person()
    await call('PATCH', `/users/${as.id}`, { as: admin, body: { full_name: 'Ada King' } })
    const { body } = await take(as)
    const events = body.activity as { event: string; ip: unknown }[]
    const event = events.find((one) => one.event === 'user_updated')
    t.match(event, { ip: null })
  })
})
