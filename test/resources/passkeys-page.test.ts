import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { type Credential, credential } from '../support/authenticator.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { ask } from '../support/no-database.ts'
import { type Person, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

void test('the page of passkeys', async (t) => {
  const service = await startService(t, { PUBLIC_URL: 'http://localhost:8000/base' })
  cheapHashing(service)
  const { app, call, rows, person } = service
  /** Sends a form as a browser does. */
  const send = (path: string, fields: Record<string, string>) =>
    ask(app, {
      method: 'POST',
      url: `/passkeys${path}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' },
      payload: new URLSearchParams(fields).toString(),
    })
  const signIn = ({ email, password }: Pick<Person, 'email' | 'password'>) => send('', { email, password })
  const valueOf = (text: string, name: string) =>
    new RegExp(`(?:name|id)="${name}" value="([^"]*)"`).exec(text)?.[1]?.replaceAll('&quot;', '"') ?? ''
  const optionsIn = (text: string) =>
    JSON.parse(valueOf(text, 'options')) as { challenge: string; user: { id: string } }
  /** What the script puts into the form. */
  const fieldsOf = (answer: object) => {
    const { response, ...rest } = answer as { response: object }
    return Object.fromEntries(
      Object.entries({ ...rest, ...response }).map(([name, value]) => [name, String(value)]),
    )
  }
  async function added(session: string) {
    const asked = await send('/new', { session })
    const options = optionsIn(asked.text)
    const key = credential(options.user.id)
    return { key, asked, done: await send('/add', { session, ...fieldsOf(key.create(options)) }) }
  }
  const use = async (key: Credential) =>
    send('/sign-in', fieldsOf(key.get(optionsIn((await send('/ask', {})).text))))

  await t.test('somebody adds a passkey, signs in with it, names and removes it', async (t) => {
    const ada = await person()
    t.match((await ask(app, { url: '/passkeys' })).text, 'Sign in with a passkey')
    const inside = await signIn(ada)
    t.match(inside.text, 'You have none yet')
    t.match(inside.text, 'action="/base/passkeys/new"')
    const { key, done } = await added(valueOf(inside.text, 'session'))
    t.equal(done.status, 200)
    t.match(done.text, 'Your passkeys')
    const again = await use(key)
    t.equal(again.status, 200)
    const [session, id] = [valueOf(again.text, 'session'), valueOf(again.text, 'id')]
    const renamed = await send('/rename', { session, id, name: 'My <phone>' })
    t.match(renamed.text, 'My &lt;phone&gt; of 2')
    t.match((await send('/remove', { session, id })).text, 'You have none yet')
    t.match((await use(key)).text, 'This passkey is not known here')
    t.match((await send('/sign-out', { session })).text, 'You are signed out')
    t.equal((await send('/list', { session })).status, 401)
  })

  await t.test('the one script of the page is allowed by its hash, and nothing else is', async (t) => {
    const { headers, text } = await send('/ask', {})
    const script = /<script>([\s\S]*)<\/script>/.exec(text)?.[1] ?? ''
    const hash = createHash('sha256').update(script).digest('base64')
    const policy = String(headers['content-security-policy'])
    t.ok(policy.includes(`script-src 'sha256-${hash}'`), policy)
    t.match(policy, /default-src 'none'/)
    t.notMatch((await ask(app, { url: '/passkeys' })).text, '<script')
  })

  await t.test('who has a second factor is asked for a code', async (t) => {
    const ada = await person()
    const { body } = await call('POST', '/users/me/factors/totp', { as: ada, body: {} })
    const code = totpOf(body.secret as string)
    await call('POST', `/users/me/factors/${body.id}/verify`, { as: ada, body: { code } })
    await rows(sql`update factors set last_step = null where user_id = ${ada.id}`)
    const challenge = valueOf((await signIn(ada)).text, 'challenge')
    t.match((await send('/code', { challenge, code: '000' })).text, 'This code is not right')
    t.match((await send('/code', { challenge, code })).text, 'Your passkeys')
  })

  await t.test('what is wrong is said in words', async (t) => {
    const ada = await person()
    t.match((await signIn({ ...ada, password: 'a wrong password' })).text, 'do not belong together')
    for (const [path, fields] of [
      ['/new', { session: 'unknown' }],
      ['/new', {}],
      ['/add', { session: 'unknown' }],
      ['/rename', { session: 'unknown', id: 'x', name: '' }],
    ] as const)
      t.match((await send(path, fields)).text, 'Begin again', path)
    t.match((await send('/sign-in', { id: 'AAAA' })).text, 'This passkey is not known here')
    const session = valueOf((await signIn(ada)).text, 'session')
    const refused = await send('/add', { session, id: 'AAAA' })
    t.equal(refused.status, 400)
    t.match(refused.text, 'This passkey is not known here')
    t.match((await send('/list', { session: valueOf(refused.text, 'session') })).text, 'You have none yet')
  })

  await t.test('a session that is not of late adds none', async (t) => {
    const ada = await person()
    const session = valueOf((await signIn(ada)).text, 'session')
    await rows(
      sql`update sessions set authenticated_at = now() - interval '2 hours' where user_id = ${ada.id}`,
    )
    t.equal((await send('/new', { session })).status, 403)
  })
})

void test('SECOND_FACTOR=superusers: a password removes no passkey on the page, either', async (t) => {
  const service = await startService(t, { SECOND_FACTOR: 'superusers' })
  cheapHashing(service)
  const { app, call, admin, rows } = service
  const { body: options } = await call('POST', '/users/me/passkeys/options', { as: admin })
  const key = credential((options as { user: { id: string } }).user.id)
  const { body } = await call('POST', '/users/me/passkeys', { as: admin, body: key.create(options as never) })
  const { token } = await service.again(admin)
  const answer = await ask(app, {
    method: 'POST',
    url: '/passkeys/remove',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' },
    payload: new URLSearchParams({ session: token, id: body.id as string }).toString(),
  })
  t.equal(answer.status, 403)
  t.match(answer.text, 'sign in with your passkey')
  t.equal((await rows(sql`select id from passkeys`)).length, 1)
})
