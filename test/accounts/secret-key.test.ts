import { createHmac, hkdfSync } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { keyChores } from '../../src/accounts/keys/chores.ts'
import { keyring } from '../../src/config/secrets/keys.ts'
import { knownNetworks, limits } from '../../src/config/limits.ts'
import { isAnswer, refusesToken } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { type Answer, type Person, type Service, startService } from '../support/service.ts'
import { freshNetwork } from '../support/limits.ts'
import { totpOf } from '../support/totp.ts'

const A = 'the secret key before the change, of this test'
const B = 'the secret key after the change, of the same'
const PASSWORD = 'another horse battery'

/** Replicas on one database, by what is set in each. */
async function replicas(t: Test, env: Record<string, string> = {}) {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  const shared = { ...connection, close: () => Promise.resolve() }
  const replica = (keys: Record<string, string>) =>
    startService(t, { ...env, ...keys }, { connection: shared })
  return {
    before: await replica({ SECRET_KEY: A }),
    prepared: await replica({ SECRET_KEY: A, SECRET_KEY_PREVIOUS: B }),
    turned: await replica({ SECRET_KEY: B, SECRET_KEY_PREVIOUS: A }),
    after: await replica({ SECRET_KEY: B }),
  }
}

const me = ({ call }: Service, token: string) =>
  call('GET', '/users/me', { headers: { authorization: `Bearer ${token}` } })
const refresh = ({ call }: Service, refresh_token: string) =>
  call('POST', '/login/refresh-token', { body: { refresh_token } })
const reset = ({ call }: Service, token: string) =>
  call('POST', '/reset-password/', { body: { token, new_password: PASSWORD } })
const showCode = ({ call }: Service, challenge: string, code: string) =>
  call('POST', '/login/second-factor', { body: { challenge, code } })

/** Gives somebody an authenticator. */
async function enrolled({ call, rows }: Service, as: Person): Promise<string> {
  const { body } = await call('POST', '/users/me/factors/totp', { as, body: {} })
  await call('POST', `/users/me/factors/${body.id}/verify`, { as, body: { code: totpOf(body.secret) } })
  await rows(sql`update factors set last_step = null where id = ${body.id}`)
  return body.secret as string
}

const tokensOf = async ({ signIn }: Service, { email, password }: Person) =>
  (await signIn(email, password)).body as { access_token: string; refresh_token: string }

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A JWT made by hand. */
function jwt(claims: object, header: object, key: string, hash = 'sha256') {
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT', ...header })}.${encoded(claims)}`
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>

/** A MAC as versions before 0.3 make and check it. */
const macBefore = (secret: string, purpose: string, text: string) =>
  createHmac('sha256', Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}`, 32)))
    .update(text)
    .digest('base64url')

void test('a change of SECRET_KEY, with the one before in SECRET_KEY_PREVIOUS', async (t) => {
  const { before, prepared, turned, after } = await replicas(t)
  const rolls: [string, Service, Service][] = [
    ['a turned replica takes what one before made', before, turned],
    ['a turned replica takes what a prepared one made', prepared, turned],
    ['a prepared replica takes what a turned one made', turned, prepared],
  ]
  for (const [which, from, to] of rolls) {
    await t.test(`nobody is signed out: ${which}`, async (t) => {
      const tokens = await tokensOf(from, await from.person())
      t.equal((await me(to, tokens.access_token)).status, 200)
      const { status, body } = await refresh(to, tokens.refresh_token)
      t.equal(status, 200)
      t.equal((await me(from, tokens.access_token)).status, 200, 'the access token goes on')
      t.equal((await me(to, body.access_token)).status, 200)
    })

    await t.test(`no mailed link is lost: ${which}`, async (t) => {
      const ada = await from.person()
      const link = await from.resetToken(ada.email)
      isAnswer(t, await reset(to, link), 200, { message: 'Password updated successfully' })
    })

    await t.test(`a sign-in with a second factor goes on: ${which}`, async (t) => {
      const ada = await from.person()
      const secret = await enrolled(from, ada)
      const { body } = await from.signIn(ada.email, ada.password)
      t.equal((await showCode(to, body.challenge, totpOf(secret))).status, 200)
    })

    await t.test(`a form of the inbox is taken: ${which}`, async (t) => {
      const { body } = await from.app.inject('/inbox')
      const token = /name="token" value="([^"]+)"/.exec(body)?.[1] ?? ''
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const cleared = await to.app.inject({
        method: 'POST',
        url: '/inbox/clear',
        headers,
        payload: `token=${token}`,
      })
      t.equal(cleared.statusCode, 303)
    })

    await t.test(`an ETag stands for its version: ${which}`, async (t) => {
      const as = await from.person()
      const made = await from.call('POST', '/papers/', { as, body: { title: 'Oil' } })
      const { etag } = made.headers as { etag: string }
      const path = `/papers/${made.body.id}`
      const seen = await to.call('GET', path, { as, headers: { 'if-none-match': etag } })
      t.equal(seen.status, 304)
      t.equal(seen.headers.etag, etag, 'of the copy that the client has')
      t.not((await to.call('GET', path, { as })).headers.etag, etag)
      const change = { as, body: { title: 'Water' }, headers: { 'if-match': etag } }
      t.equal((await to.call('PUT', path, change)).status, 200)
      isAnswer(t, await to.call('PUT', path, change), 412, 'Precondition Failed', 'and for no other')
    })
  }

  await t.test('what was made with the new key does not need the one before', async (t) => {
    const ada = await before.person()
    const tokens = await tokensOf(before, ada)
    const { body } = await refresh(turned, tokens.refresh_token)
    t.equal((await me(after, body.access_token)).status, 200)
    t.equal((await refresh(after, body.refresh_token)).status, 200)
    t.equal((await reset(after, await turned.resetToken(ada.email))).status, 200)
  })

  await t.test('without the key before, what it made is refused, and nothing is a fault', async (t) => {
    const ada = await before.person()
    const made = await before.call('POST', '/papers/', { as: ada, body: { title: 'Oil' } })
    const headers = { 'if-match': String(made.headers.etag) }
    const secret = await enrolled(before, ada)
    const tokens = ada.token
    const { body } = await before.signIn(ada.email, ada.password)
    refusesToken(t, await me(after, tokens))
    const other = await tokensOf(before, await before.person())
    refusesToken(t, await refresh(after, other.refresh_token))
    isAnswer(t, await reset(after, await before.resetToken(ada.email)), 400, 'Invalid token')
    isAnswer(t, await showCode(after, body.challenge, totpOf(secret)), 400, 'Invalid token')
    const again = await after.signIn(ada.email, ada.password)
    isAnswer(t, await showCode(after, again.body.challenge, totpOf(secret)), 400, 'Incorrect code')
    const signedIn = await after.call('PUT', `/papers/${made.body.id}`, {
      as: after.admin,
      body: { title: 'Water' },
      headers,
    })
    isAnswer(t, signedIn, 412, 'Precondition Failed')
    const read = { as: after.admin, headers: { 'if-none-match': String(made.headers.etag) } }
    t.equal((await after.call('GET', `/papers/${made.body.id}`, read)).status, 200)
  })

  await t.test('cursors and idempotency keys go on', async (t) => {
    const as = await before.person()
    for (const title of ['One', 'Two']) await before.call('POST', '/papers/', { as, body: { title } })
    const { body } = await before.call('GET', '/papers/?limit=1', { as })
    const next = await turned.call('GET', `/papers/?limit=1&cursor=${body.next_cursor}`, { as })
    t.match(next, { status: 200, body: { data: [{ title: 'One' }] } })
    const once = { as, body: { title: 'Once' }, headers: { 'idempotency-key': 'once' } }
    const first = await before.call('POST', '/papers/', once)
    t.equal((await turned.call('POST', '/papers/', once)).body.id, first.body.id)
  })

  await t.test('tokens of the version before, which name no key, are taken', async (t) => {
    const { access_token, refresh_token } = await tokensOf(before, await before.person())
    const [session, generation] = refresh_token.split('.')
    const text = `${session}.${generation}`
    const old = `${text}.${macBefore(A, 'refresh-token', text)}`
    for (const replica of [before, prepared, turned])
      t.equal((await me(replica, jwt(claimsOf(access_token), {}, A))).status, 200)
    t.equal((await refresh(turned, old)).status, 200)
  })

  await t.test('the version before takes tokens of this one', async (t) => {
    const ada = await before.person()
    const { access_token, refresh_token } = await tokensOf(before, ada)
    const [header, payload, signature] = access_token.split('.')
    const signed = createHmac('sha256', A).update(`${header}.${payload}`).digest('base64url')
    t.equal(signature, signed, 'it does not look at `kid`')
    const end = refresh_token.lastIndexOf('.')
    const text = refresh_token.slice(0, end)
    t.equal(refresh_token.slice(end + 1), macBefore(A, 'refresh-token', text))
    t.equal(text.split('.')[1], '0', 'it reads the session and the generation, and no more')
    const link = await before.resetToken(ada.email)
    const [id = '', mac] = link.split('.')
    t.equal(mac, macBefore(A, 'one-time-token/reset_password', id))
  })

  await t.test('a token names the key that it was made with', async (t) => {
    const { access_token, refresh_token } = await tokensOf(turned, await turned.person())
    const { current } = keyring({ SECRET_KEY: B })
    const header = JSON.parse(Buffer.from(access_token.split('.')[0]!, 'base64url').toString()) as object
    t.strictSame(header, { alg: 'HS256', typ: 'JWT', kid: current.id })
    t.equal(refresh_token.split('.')[2], current.id)
  })

  const claims = claimsOf((await turned.person()).token)
  const [idA, idB] = [A, B].map((SECRET_KEY) => keyring({ SECRET_KEY }).current.id)
  const right = jwt(claims, { kid: idA }, A)
  t.equal((await me(turned, right)).status, 200)
  const forged: Record<string, string> = {
    'the id of the current key on one of the previous': jwt(claims, { kid: idB }, A),
    'the id of the previous key on one of the current': jwt(claims, { kid: idA }, B),
    'the right id, signed with a key of somebody': jwt(claims, { kid: idA }, 'somebody'),
    'the right id, signed with the id': jwt(claims, { kid: idA }, idA!),
    'an unknown id': jwt(claims, { kid: 'AAAAAAAA' }, A),
    'an empty id': jwt(claims, { kid: '' }, A),
    'a very long id': jwt(claims, { kid: 'x'.repeat(8_000) }, A),
    __proto__: jwt(claims, { kid: '__proto__' }, A),
    constructor: jwt(claims, { kid: 'constructor' }, A),
    toString: jwt(claims, { kid: 'toString' }, A),
    null: jwt(claims, { kid: null }, A),
    'a number': jwt(claims, { kid: 0 }, A),
    'a list with the right one': jwt(claims, { kid: [idA] }, A),
    'an object': jwt(claims, { kid: { id: idA } }, A),
    'a path': jwt(claims, { kid: '/dev/null' }, ''),
    'alg none with the right id': `${encoded({ alg: 'none', kid: idA })}.${encoded(claims)}.`,
    'alg none with the right id and signature': `${encoded({ alg: 'none', kid: idA })}.${right.split('.')[1]}.${right.split('.')[2]}`,
    'HS512 with the right id and key': jwt(claims, { alg: 'HS512', kid: idA }, A, 'sha512'),
    'an expired one of the previous key': jwt({ ...claims, exp: 1 }, { kid: idA }, A),
  }
  for (const [what, token] of Object.entries(forged))
    await t.test(`an access token with a forged key id is 401: ${what}`, async (t) => {
      refusesToken(t, await me(turned, token))
      refusesToken(t, await me(after, token))
    })
})

void test('the secret of a second factor is sealed anew once no process signs with the key before', async (t) => {
  const { before, turned, after } = await replicas(t)
  const ada = await before.person()
  const secret = await enrolled(before, ada)
  const challenge = async () => (await after.signIn(ada.email, ada.password)).body.challenge as string
  const keys = { SECRET_KEY: B, SECRET_KEY_PREVIOUS: A }
  const run = async () => {
    for (const chore of Object.values(keyChores(keys)(turned.app.db))) await chore(1_000)
  }
  const sealed = () => before.rows<{ secret: string }>(sql`select secret from factors`)
  const first = await sealed()
  await run()
  t.strictSame(await sealed(), first, 'a replica that does not know the new key may still have to read it')
  const { id } = keyring({ SECRET_KEY: A }).current
  await before.rows(sql`update signing_keys set last_used_at = now() - interval '6 minutes' where id = ${id}`)
  await run()
  t.equal((await showCode(after, await challenge(), totpOf(secret))).status, 200)
  const second = await sealed()
  await run()
  t.strictSame(await sealed(), second, 'once')
})

void test('limits and known networks outlive a change of SECRET_KEY', async (t) => {
  const { before, prepared, turned } = await replicas(t, { RATE_LIMIT_ENABLED: 'true' })
  const guess = ({ signIn }: Service, { email }: Person, from: string) => signIn(email, 'a wrong one', from)
  /** How many guesses pass until one is 429. */
  async function passed(attempt: () => Promise<Answer>): Promise<number> {
    for (let count = 0; count < 100; count++) if ((await attempt()).status === 429) return count
    return 100
  }

  await t.test('guesses that were counted before are counted after', async (t) => {
    const ada = await before.person()
    const from = freshNetwork()
    for (let count = 0; count < 4; count++) await guess(before, ada, from)
    t.equal(await passed(() => guess(turned, ada, from)), limits.login.burst - 4)
    t.equal((await guess(prepared, ada, from)).status, 429, 'also where the old key still makes tokens')
  })

  await t.test('a wait that began before goes on', async (t) => {
    const ada = await before.person()
    const from = freshNetwork()
    t.equal(await passed(() => guess(before, ada, from)), limits.login.burst)
    t.equal((await guess(turned, ada, from)).status, 429)
  })

  await t.test('guesses at replicas of both keys in turn are counted together', async (t) => {
    const ada = await before.person()
    const from = freshNetwork()
    let turn = 0
    const count = await passed(() => guess([prepared, turned][(turn += 1) % 2]!, ada, from))
    t.equal(count, limits.login.burst)
  })

  await t.test('a used reset link forgets guesses of both names', async (t) => {
    const ada = await before.person()
    const from = freshNetwork()
    await passed(() => guess(before, ada, from))
    const body = { token: await before.resetToken(ada.email), new_password: PASSWORD }
    await turned.call('POST', '/reset-password/', { body, from })
    t.equal((await turned.signIn(ada.email, PASSWORD, from)).status, 200)
  })

  await t.test('strangers lock nobody out of a network that signed in before', async (t) => {
    const ada = await before.person()
    const home = freshNetwork()
    t.equal((await before.signIn(ada.email, ada.password, home)).status, 200)
    await passed(() => guess(turned, ada, freshNetwork()))
    t.equal((await turned.signIn(ada.email, ada.password, home)).status, 200)
  })

  await t.test('a network that signs in again stays one of the few', async (t) => {
    const ada = await before.person()
    const networks = Array.from({ length: knownNetworks.most }, freshNetwork)
    await before.rows(sql`delete from known_networks where user_id = ${ada.id}`)
    for (const from of networks) await before.signIn(ada.email, ada.password, from)
    await turned.signIn(ada.email, ada.password, networks.at(-1))
    const names = sql`select network from known_networks where user_id = ${ada.id}`
    t.equal((await before.rows(names)).length, knownNetworks.most)
    await passed(() => guess(turned, ada, freshNetwork()))
    t.equal((await turned.signIn(ada.email, ada.password, networks[0])).status, 200)
  })
})
