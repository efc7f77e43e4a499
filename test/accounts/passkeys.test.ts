import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { type Credential, type Otherwise, credential } from '../support/authenticator.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { limited } from '../support/limits.ts'
import { type Answer, type Person, type Service, address, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

const ROUNDS = rounds(50, 3)
const PATH = '/users/me/passkeys'
const WRONG = 'Incorrect passkey'
const NEEDED = 'Second factor required'
const UNKNOWN = 'Passkey not found'
const REMOVED = { message: 'Passkey removed' }
const NOBODY = '00000000-0000-4000-8000-000000000000'
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36'

function acts({ call, rows }: Service) {
  const options = async (as: Person) => (await call('POST', `${PATH}/options`, { as })).body
  const add = (as: Person, body: object) =>
    call('POST', PATH, { as, body, headers: { 'user-agent': CHROME } })
  const begin = async () => (await call('POST', '/login/passkey/options')).body
  const show = (body: object, from?: string) =>
    call('POST', '/login/passkey', { body, ...(from !== undefined && { from }) })
  return {
    options,
    add,
    begin,
    show,
    /** Somebody's new passkey, and its id. */
    async added(as: Person) {
      const asked = await options(as)
      const key = credential(asked.user.id as string)
      const { body } = await add(as, key.create(asked))
      return { key, id: body.id as string }
    },
    async signIn(key: Credential, otherwise: Otherwise = {}) {
      return show(key.get(await begin(), otherwise))
    },
    remove: (as: Person, id: string) => call('DELETE', `${PATH}/${id}`, { as }),
    list: async (as: Person) => (await call('GET', PATH, { as })).body.data as { id: string; name: string }[],
    methods: async (token: string) => {
      const headers = { authorization: `Bearer ${token}` }
      const { body } = await call('GET', '/users/me/sessions', { headers })
      return (body.data as { is_current: boolean; methods: string[] }[]).find((one) => one.is_current)
        ?.methods
    },
    /** An authenticator of somebody, whose codes of now are good again. */
    async enrolled(as: Person) {
      const { body } = await call('POST', '/users/me/factors/totp', { as, body: {} })
      const code = { code: totpOf(body.secret as string) }
      await call('POST', `/users/me/factors/${body.id}/verify`, { as, body: code })
      await rows(sql`update factors set last_step = null where user_id = ${as.id}`)
    },
    mails: async (email: string) =>
      rows<{ message: string; params: Record<string, string> }>(
        sql`select message, params from emails where recipient = ${email} order by created_at, id`,
      ),
    audit: async (as: Person) =>
      rows<{ event: string; outcome: string; reason: string | null; details: object }>(
        sql`select event, outcome, reason, details from audit_events where subject_id = ${as.id} order by created_at, id`,
      ),
  }
}

const opened = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 200).length

void test('passkeys', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, rows, admin, person } = service
  const act = acts(service)
  const { options, add, begin, show, added, signIn, remove, list, methods, enrolled, mails, audit } = act
  const isWrong = (t: Test, answer: Answer, message: string) => isAnswer(t, answer, 400, WRONG, message)

  await t.test(
    'the browser is asked for a passkey that it can find by itself, with user verification',
    async (t) => {
      const ada = await person()
      const asked = await options(ada)
      t.match(asked, {
        rp: { id: 'localhost', name: 'Groundwork' },
        user: { name: ada.email, displayName: 'Ada' },
        challenge: /^[\w-]{43}$/,
        timeout: 300_000,
        attestation: 'none',
        authenticatorSelection: {
          residentKey: 'required',
          requireResidentKey: true,
          userVerification: 'required',
        },
        excludeCredentials: [],
      })
      t.ok((asked.pubKeyCredParams as { alg: number }[]).some(({ alg }) => alg === -7))
      const handle = Buffer.from(asked.user.id as string, 'base64url')
      t.equal(handle.length, 32)
      t.notOk(handle.includes(ada.email), 'it is not the address')
      const { key } = await added(ada)
      const again = await options(ada)
      t.equal(again.user.id, asked.user.id, 'the same for all of a user')
      t.match(again.excludeCredentials, [{ id: key.id, type: 'public-key' }])
      t.not((await options(await person())).user.id, asked.user.id, 'and another for everybody')
    },
  )

  await t.test('one that was added signs in without password and code', async (t) => {
    const ada = await person()
    const asked = await options(ada)
    const key = credential(asked.user.id as string)
    const { status, body } = await add(ada, key.create(asked))
    t.equal(status, 200)
    t.match(body, {
      name: 'Chrome on Linux',
      credential_id: key.id,
      transports: ['internal', 'hybrid'],
      backed_up: true,
      last_used_at: null,
    })
    t.strictSame(await methods(ada.token), ['pwd', 'passkey'], 'this session has shown it')
    const signedIn = await signIn(key)
    t.equal(signedIn.status, 200)
    t.match(signedIn.body, { access_token: /./, refresh_token: /./, expires_in: 3600, token_type: 'bearer' })
    t.equal(signedIn.headers['cache-control'], 'no-store')
    t.strictSame(await methods(signedIn.body.access_token), ['passkey'])
    t.match(await list(ada), [{ id: body.id, last_used_at: /^2/ }])
    t.notMatch(JSON.stringify(await list(ada)), /user_handle|public_key|counter/)
    t.match(await mails(ada.email), [{ message: 'way_in_changed', params: { what: 'passkey_added' } }])
    t.match((await audit(ada)).slice(-2), [
      { event: 'passkey_added', outcome: 'success' },
      { event: 'sign_in', outcome: 'success', details: { methods: ['passkey'] } },
    ])
  })

  await t.test('who signs in says no address, and is told of no passkey', async (t) => {
    await added(await person())
    const asked = await begin()
    t.match(asked, {
      rpId: 'localhost',
      challenge: /^[\w-]{43}$/,
      userVerification: 'required',
      timeout: 300_000,
    })
    t.strictSame(asked.allowCredentials, [])
  })

  await t.test('an answer is for this origin, this host and this use, with user verification', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    const wrong: Record<string, Otherwise> = {
      'another origin': { origin: 'https://evil.example' },
      'a port of the same host': { origin: 'http://localhost:9000' },
      'another host': { rpId: 'evil.example' },
      'no user verification': { isVerified: false },
    }
    for (const [name, otherwise] of Object.entries(wrong)) {
      isWrong(t, await signIn(key, otherwise), `signing in: ${name}`)
      const asked = await options(ada)
      isWrong(t, await add(ada, credential(key.userHandle).create(asked, otherwise)), `adding: ${name}`)
    }
    isWrong(t, await signIn(key, { type: 'webauthn.create' }), 'an answer of another kind')
    const asked = await options(ada)
    isWrong(t, await add(ada, credential(key.userHandle).create(asked, { type: 'webauthn.get' })), 'and here')
    t.equal((await signIn(key)).status, 200)
  })

  await t.test('a Host header does not say which host passkeys are for', async (t) => {
    const headers = {
      host: '127.0.0.1:8000',
      'x-forwarded-host': 'evil.example',
      origin: 'http://localhost:5173',
    }
    t.match((await call('POST', '/login/passkey/options', { headers })).body, { rpId: 'localhost' })
  })

  await t.test('a challenge is good once', async (t) => {
    const ada = await person()
    const asked = await options(ada)
    const key = credential(asked.user.id as string)
    t.equal((await add(ada, key.create(asked))).status, 200)
    isWrong(t, await add(ada, credential(key.userHandle).create(asked)), 'to add one')
    const challenge = await begin()
    t.equal((await show(key.get(challenge))).status, 200)
    isWrong(t, await show(key.get(challenge)), 'to sign in')
  })

  await t.test('a challenge is good for five minutes', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    const [asked, challenge] = [await options(ada), await begin()]
    const [left] = await rows<{ seconds: number }>(
      sql`select extract(epoch from max(expires_at) - now())::integer as seconds from passkey_challenges`,
    )
    t.ok(left!.seconds > 290 && left!.seconds <= 300)
    await rows(sql`update passkey_challenges set expires_at = now()`)
    isWrong(t, await add(ada, credential(key.userHandle).create(asked)), 'to add one')
    isWrong(t, await show(key.get(challenge)), 'to sign in')
  })

  await t.test('a challenge is for one use, and to add one for one user', async (t) => {
    const [ada, eve] = [await person(), await person()]
    const { key } = await added(ada)
    isWrong(t, await show(key.get(await options(ada))), 'one to add does not sign in')
    isWrong(
      t,
      await add(ada, credential(key.userHandle).create(await begin())),
      'one to sign in does not add',
    )
    const asked = await options(ada)
    isWrong(t, await add(eve, credential(key.userHandle).create(asked)), "not another's")
    for (const challenge of [undefined, null, 5, '', 'x'.repeat(43), `${'x'.repeat(42)}\0`, { a: 1 }])
      isWrong(t, await signIn(key, { challenge }), `one that nobody gave: ${JSON.stringify(challenge)}`)
  })

  await t.test('three challenges to add one at a time, the newest', async (t) => {
    const ada = await person()
    const asked = [await options(ada), await options(ada), await options(ada), await options(ada)]
    isWrong(t, await add(ada, credential(asked[0].user.id).create(asked[0])), 'the oldest')
    t.equal((await add(ada, credential(asked[1].user.id).create(asked[1]))).status, 200)
  })

  await t.test('an unknown passkey is answered like any other that is not right', async (t) => {
    const { key } = await added(await person())
    const unknown = await signIn(credential(key.userHandle))
    const forged = await signIn(key, { signature: randomBytes(70) })
    const other = await signIn(credential(key.userHandle, { id: key.id }))
    for (const answer of [unknown, forged, other]) isWrong(t, answer, 'the same answer')
    t.equal(unknown.text, forged.text)
  })

  await t.test('the answer names the user whose passkey it is', async (t) => {
    const { key } = await added(await person())
    const { key: another } = await added(await person())
    for (const userHandle of [null, '', another.userHandle])
      isWrong(t, await signIn(key, { userHandle }), String(userHandle))
  })

  await t.test('a counter of 0 is normal, one that goes back is that of a copy', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    for (const counter of [0, 0, 3, 4]) t.equal((await signIn(key, { counter })).status, 200, String(counter))
    for (const counter of [4, 3, 0]) isWrong(t, await signIn(key, { counter }), String(counter))
    t.match((await audit(ada)).slice(-3), [
      { event: 'sign_in', outcome: 'failure', reason: 'counter' },
      { reason: 'counter' },
      { reason: 'counter' },
    ])
    isWrong(t, await signIn(key, { counter: 1, signature: randomBytes(70) }), 'forged')
    t.match(
      (await audit(ada)).at(-1),
      { reason: 'passkey' },
      'nobody makes an owner fear a copy without its key',
    )
    t.equal((await signIn(key, { counter: 5 })).status, 200)
  })

  await t.test('there are ten at most', async (t) => {
    const ada = await person()
    for (let count = 0; count < 9; count++) await added(ada)
    const [asked, spare] = [await options(ada), await options(ada)]
    const [tenth, eleventh] = [credential(asked.user.id as string), credential(asked.user.id as string)]
    t.equal((await add(ada, tenth.create(asked))).status, 200)
    isAnswer(t, await add(ada, eleventh.create(spare)), 400, 'Too many passkeys')
    isAnswer(t, await call('POST', `${PATH}/options`, { as: ada }), 400, 'Too many passkeys')
    t.equal((await list(ada)).length, 10)
  })

  await t.test('one that is known already is refused, and stays whose it is', async (t) => {
    const [ada, eve] = [await person(), await person()]
    const { key } = await added(ada)
    const asked = await options(eve)
    const same = credential(asked.user.id as string, { id: key.id })
    isWrong(t, await add(eve, same.create(asked)), 'the same id')
    t.equal((await signIn(key)).status, 200)
    t.strictSame(await list(eve), [])
  })

  await t.test('what an authenticator is certified by is not looked at, nor fetched', async (t) => {
    const ada = await person()
    const certificate = new Map<unknown, unknown>([
      ['alg', -7],
      ['sig', randomBytes(70)],
      ['x5c', [randomBytes(300)]],
    ])
    const formats: Otherwise[] = [
      { format: 'packed', statement: certificate },
      { format: 'android-key', statement: certificate },
      { format: 'fido-u2f', statement: certificate },
      { format: 'another' },
      { statement: certificate },
    ]
    for (const otherwise of formats) {
      const asked = await options(ada)
      isWrong(
        t,
        await add(ada, credential(asked.user.id as string).create(asked, otherwise)),
        otherwise.format!,
      )
    }
  })

  await t.test('an id of more than 1,023 bytes is refused', async (t) => {
    const ada = await person()
    for (const [bytes, status] of [
      [1024, 400],
      [1023, 200],
    ] as const) {
      const asked = await options(ada)
      const key = credential(asked.user.id as string, { id: randomBytes(bytes).toString('base64url') })
      t.equal((await add(ada, key.create(asked))).status, status, String(bytes))
    }
  })

  await t.test('what is no base64url, JSON or CBOR is refused, and no fault of the service', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    const odd = [
      '',
      '=',
      '!',
      'AA',
      'bnVsbA',
      '////',
      '\u{1f600}',
      Buffer.from('{"challenge":').toString('base64url'),
    ]
    const [created, used] = [key.create(await options(ada)), key.get(await begin())] as { response: object }[]
    for (const text of odd) {
      for (const name of ['clientDataJSON', 'attestationObject'])
        isWrong(
          t,
          await add(ada, { ...created, response: { ...created!.response, [name]: text } }),
          `${name} ${text}`,
        )
      for (const name of ['clientDataJSON', 'authenticatorData', 'signature', 'userHandle'])
        isWrong(t, await show({ ...used, response: { ...used!.response, [name]: text } }), `${name} ${text}`)
      isWrong(t, await show({ ...used, id: text, rawId: text }), `id ${text}`)
    }
    isWrong(t, await show({ ...used, rawId: 'AAAA' }), 'two ids')
    isWrong(t, await show({ ...used, type: 'password' }), 'another type')
    isRefused(t, await show({ ...used, response: 5 }), ['body.response'])
    isRefused(t, await show({ ...used, id: 'A'.repeat(2049) }), ['body.id'])
  })

  await t.test('fields that newer browsers add are passed over', async (t) => {
    const { key } = await added(await person())
    const { response, ...rest } = key.get(await begin()) as { response: object }
    const body = { ...rest, later: { a: [1] }, clientExtensionResults: { prf: { enabled: true } } }
    t.equal((await show({ ...body, response: { ...response, later: [null] } })).status, 200)
  })

  await t.test('an inactive user gets in again only when they are active', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    const set = (is_active: boolean) => call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active } })
    await set(false)
    isAnswer(t, await signIn(key), 400, 'Inactive user')
    isWrong(t, await signIn(key, { signature: randomBytes(70) }), 'who has not the passkey learns nothing')
    await set(true)
    t.equal((await signIn(key)).status, 200)
  })

  await t.test('a deleted user does not sign in', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    await call('DELETE', '/users/me', { as: ada })
    isWrong(t, await signIn(key), 'nobody')
  })

  await t.test('who has a second factor needs no code, and counts as having shown one', async (t) => {
    const ada = await person()
    await enrolled(ada)
    const { key } = await added(ada)
    const { body } = await signIn(key)
    t.strictSame(await methods(body.access_token), ['passkey'])
    const as = { ...ada, token: body.access_token as string }
    t.equal((await call('POST', '/users/me/recovery-codes', { as })).status, 200)
    t.match((await service.signIn(ada.email, ada.password)).body, { detail: NEEDED }, 'a password does')
  })

  await t.test(
    'where there is a second factor, a session without one adds neither passkey nor factor',
    async (t) => {
      const ada = await person()
      const elsewhere = await service.again(ada)
      const asked = await options(elsewhere)
      await enrolled(ada)
      isAnswer(t, await call('POST', `${PATH}/options`, { as: elsewhere }), 403, NEEDED)
      isAnswer(t, await add(elsewhere, credential(asked.user.id as string).create(asked)), 403, NEEDED)
      isAnswer(t, await call('POST', '/users/me/factors/totp', { as: elsewhere, body: {} }), 403, NEEDED)
      t.strictSame(await list(ada), [])
      t.ok((await added(ada)).id)
    },
  )

  await t.test('adding and removing need a recent sign-in, naming one does not', async (t) => {
    const ada = await person()
    const { id, key } = await added(ada)
    const asked = await options(ada)
    await rows(
      sql`update sessions set authenticated_at = now() - interval '2 hours' where user_id = ${ada.id}`,
    )
    const stale = 'Recent sign-in required'
    isAnswer(t, await call('POST', `${PATH}/options`, { as: ada }), 403, stale)
    isAnswer(t, await add(ada, credential(key.userHandle).create(asked)), 403, stale)
    isAnswer(t, await remove(ada, id), 403, stale)
    const renamed = await call('PATCH', `${PATH}/${id}`, { as: ada, body: { name: 'Phone' } })
    t.match(renamed.body, { id, name: 'Phone', credential_id: key.id })
    t.match(await list(ada), [{ id, name: 'Phone' }])
  })

  await t.test("nobody names or removes another's", async (t) => {
    const [ada, eve] = [await person(), await person()]
    const { id, key } = await added(ada)
    isAnswer(t, await call('PATCH', `${PATH}/${id}`, { as: eve, body: { name: 'Mine' } }), 404, UNKNOWN)
    isAnswer(t, await remove(eve, id), 404, UNKNOWN)
    t.strictSame((await list(ada)).length, 1)
    t.equal((await signIn(key)).status, 200)
  })

  await t.test('an API key adds none, whatever it permits', async (t) => {
    const ada = await person()
    const body = { name: 'A key', permissions: [...service.app.permissions] }
    const made = await call('POST', '/users/me/api-keys', { as: ada, body })
    const as = { ...ada, token: made.body.key as string }
    for (const [method, path] of [
      ['POST', `${PATH}/options`],
      ['POST', PATH],
      ['GET', PATH],
      ['DELETE', `${PATH}/${NOBODY}`],
    ] as const)
      isAnswer(t, await call(method, path, { as }), 403, 'API key not allowed', `${method} ${path}`)
  })

  await t.test('one that was removed no longer signs in, and every other session has ended', async (t) => {
    const ada = await person()
    const { id, key } = await added(ada)
    const other = { ...ada, token: (await signIn(key)).body.access_token as string }
    isAnswer(t, await remove(ada, id), 200, REMOVED)
    isWrong(t, await signIn(key), 'it is unknown')
    isAnswer(t, await call('GET', '/users/me', { as: other }), 401, 'Could not validate credentials')
    t.equal((await call('GET', '/users/me', { as: ada })).status, 200, 'this one stays')
    isAnswer(t, await remove(ada, id), 404, UNKNOWN)
    t.match(
      (await audit(ada)).find(({ event }) => event === 'passkey_removed'),
      { outcome: 'success' },
    )
    t.match((await mails(ada.email)).at(-1)?.params, { what: 'passkey_removed' })
  })

  await t.test(
    'superusers see and remove those of who lost theirs: sessions end, and the owner is told',
    async (t) => {
      const ada = await person()
      const { id, key } = await added(ada)
      const path = `/users/${ada.id}/passkeys`
      t.match((await call('GET', path, { as: admin })).body, { data: [{ id, credential_id: key.id }] })
      isAnswer(t, await call('GET', path, { as: ada }), 403, "The user doesn't have enough privileges")
      isAnswer(t, await call('GET', `/users/${NOBODY}/passkeys`, { as: admin }), 404, 'User not found')
      isAnswer(t, await call('DELETE', `/users/${NOBODY}/passkeys/${id}`, { as: admin }), 404, UNKNOWN)
      isAnswer(t, await call('DELETE', `${path}/${id}`, { as: admin }), 200, REMOVED)
      isWrong(t, await signIn(key), 'removed')
      isAnswer(t, await call('GET', '/users/me', { as: ada }), 401, 'Could not validate credentials')
      t.match((await mails(ada.email)).at(-1)?.params, { what: 'passkey_removed', from: null })
    },
  )

  await t.test('a change of the password leaves them, and so does a reset of factors', async (t) => {
    const ada = await person()
    const { key } = await added(ada)
    const password = 'another horse battery'
    const change = { current_password: ada.password, new_password: password }
    await call('PATCH', '/users/me/password', { as: ada, body: change })
    await call('DELETE', `/users/${ada.id}/factors`, { as: admin })
    t.equal((await signIn(key)).status, 200)
  })

  await t.test('a reset of the password leaves them, and its mail names them', async (t) => {
    const ada = await person()
    await rows(sql`update users set is_verified = true where id = ${ada.id}`)
    const { key } = await added(ada)
    const token = await service.resetToken(ada.email)
    await call('POST', '/reset-password/', { body: { token, new_password: 'another horse battery' } })
    t.equal((await signIn(key)).status, 200)
    t.match((await mails(ada.email)).find(({ message }) => message === 'password_changed')?.params, {
      passkeys: 'Chrome on Linux',
    })
  })

  await t.test(
    'who signed up with the address of somebody else keeps no passkey when its owner comes',
    async (t) => {
      const ada = await person()
      await rows(sql`update users set is_verified = false where id = ${ada.id}`)
      const { key } = await added(ada)
      const token = await service.resetToken(ada.email)
      await call('POST', '/reset-password/', { body: { token, new_password: 'another horse battery' } })
      isWrong(t, await signIn(key), 'removed')
      const mail = (await mails(ada.email)).find(({ message }) => message === 'password_changed')
      t.notHas(mail?.params, { passkeys: String })
    },
  )

  await t.test(
    'a stolen address is taken back together with the passkeys that were added since',
    async (t) => {
      const ada = await person()
      await rows(sql`update users set is_verified = true where id = ${ada.id}`)
      const { key: old } = await added(ada)
      await rows(sql`update passkeys set created_at = now() - interval '73 hours' where user_id = ${ada.id}`)
      await call('PATCH', '/users/me', { as: ada, body: { email: address() } })
      const { key } = await added(ada)
      const [mail] = await rows<{ token_id: string }>(
        sql`select token_id from emails where recipient = ${ada.email} and message = 'own_address_changed'`,
      )
      const token = service.app.auth.oneTimeTokens.sign('undo_email_change', mail!.token_id)
      t.equal((await call('POST', '/undo-email-change/', { body: { token } })).status, 200)
      isWrong(t, await signIn(key), 'the one of the thief')
      t.equal((await signIn(old)).status, 200, "the owner's stays")
    },
  )

  await t.test('at once: one challenge opens one session, and adds one passkey', async (t) => {
    const many = (ask: () => Promise<Answer>) => Promise.all(Array.from({ length: 20 }, ask))
    const ada = await person()
    const { key } = await added(ada)
    for (let round = 0; round < ROUNDS; round++) {
      const body = key.get(await begin())
      t.equal(opened(await many(() => show(body))), 1, 'one session')
      const eve = await person()
      const asked = await options(eve)
      const answers = await many(() => add(eve, credential(asked.user.id as string).create(asked)))
      t.equal(opened(answers), 1, 'one passkey')
      t.equal((await list(eve)).length, 1)
    }
  })

  await t.test('at once: one challenge opens one session of two users', async (t) => {
    const keys = [(await added(await person())).key, (await added(await person())).key]
    for (let round = 0; round < ROUNDS; round++) {
      const asked = await begin()
      t.equal(opened(await Promise.all(keys.map((key) => show(key.get(asked))))), 1)
    }
  })

  await t.test('at once: one value of a counter opens one session', async (t) => {
    const { key } = await added(await person())
    for (let counter = 1; counter <= ROUNDS; counter++) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(key, { counter })))
      t.equal(opened(answers), 1)
    }
  })

  await t.test('at once: removing a passkey and a sign-in with it', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const ada = await person()
      const { id, key } = await added(ada)
      const [removed, signedIn] = await Promise.all([remove(ada, id), signIn(key)])
      t.equal(removed.status, 200)
      t.ok([200, 400].includes(signedIn.status), signedIn.text)
      const token = signedIn.status === 200 ? (signedIn.body.access_token as string) : 'none'
      t.equal(
        (await call('GET', '/users/me', { as: { ...ada, token } })).status,
        401,
        'no session of it is left',
      )
    }
  })
})

void test('EMAIL_VERIFICATION=required: a passkey signs nobody in whose address is not verified', async (t) => {
  const service = await startService(t, { EMAIL_VERIFICATION: 'required' })
  cheapHashing(service)
  const { rows, admin: ada } = service
  const { added, signIn } = acts(service)
  const { key } = await added(ada)
  await rows(sql`update users set is_verified = false where id = ${ada.id}`)
  isAnswer(t, await signIn(key), 400, 'Email not verified')
  isAnswer(t, await signIn(key, { signature: randomBytes(70) }), 400, WRONG)
  await rows(sql`update users set is_verified = true where id = ${ada.id}`)
  t.equal((await signIn(key)).status, 200)
})

void test('SECOND_FACTOR=superusers: a passkey is one, and a password does not lead around it', async (t) => {
  const service = await startService(t, { SECOND_FACTOR: 'superusers' })
  cheapHashing(service)
  const { call, admin } = service
  const { added, signIn, options } = acts(service)
  isAnswer(t, await call('GET', '/users/', { as: admin }), 403, NEEDED)
  t.equal((await call('GET', PATH, { as: admin })).status, 200, 'the way to one is open')
  const { key, id } = await added(admin)
  t.equal((await call('GET', '/users/', { as: admin })).status, 200)
  const as = { ...admin, token: (await signIn(key)).body.access_token as string }
  t.equal((await call('GET', '/users/', { as })).status, 200)

  const thief = await service.again(admin)
  isAnswer(t, await call('GET', '/users/', { as: thief }), 403, NEEDED)
  isAnswer(t, await call('POST', `${PATH}/options`, { as: thief }), 403, NEEDED)
  isAnswer(t, await call('POST', '/users/me/factors/totp', { as: thief, body: {} }), 403, NEEDED)
  isAnswer(t, await call('DELETE', `${PATH}/${id}`, { as: thief }), 403, NEEDED)
  t.match(await options(as), { challenge: /./ }, 'their owner adds another')
})

void test('passkeys are those of FRONTEND_HOST, else of PUBLIC_URL', async (t) => {
  const hosts: Record<string, Record<string, string>> = {
    'app.example.com': { FRONTEND_HOST: 'https://app.example.com/', PUBLIC_URL: 'https://api.example.com' },
    'api.example.com': { PUBLIC_URL: 'https://api.example.com/base/' },
  }
  for (const [host, env] of Object.entries(hosts)) {
    const service = await startService(t, env)
    const { added, signIn, options } = acts(service)
    const ada = await service.person()
    t.equal((await options(ada)).rp.id, host)
    const asked = await options(ada)
    const key = credential(asked.user.id as string)
    const right = { origin: `https://${host}`, rpId: host }
    t.equal((await acts(service).add(ada, key.create(asked, right))).status, 200)
    t.equal((await signIn(key, right)).status, 200)
    isAnswer(t, await signIn(key), 400, WRONG)
    t.ok(added)
  }
  const service = await startService(t, { PUBLIC_URL: 'http://192.0.2.7:8000' })
  const ada = await service.person()
  for (const path of [`${PATH}/options`, '/login/passkey/options'])
    isAnswer(t, await service.call('POST', path, { as: ada }), 400, 'Passkeys unavailable')
})

void test('failed sign-ins with passkeys count as others of their network do, and lock no owner out', async (t) => {
  const service = await startService(t, limited)
  cheapHashing(service)
  const { added, begin, show } = acts(service)
  const { key } = await added(await service.person())
  const from = '203.0.113.9'
  const forged = key.get(await begin(), { signature: randomBytes(70) })
  for (let count = 0; count < 100; count++) isAnswer(t, await show(forged, from), 400, WRONG)
  isAnswer(t, await show(forged, from), 429, 'Too many requests')
  isAnswer(t, await service.signIn(address(), 'wrong horse battery', from), 429, 'Too many requests')
  const [{ failures }] = (await service.rows<{ failures: number }>(
    sql`select count(*)::integer as failures from audit_events where reason = 'passkey'`,
  )) as [{ failures: number }]
  t.equal(failures, 100, 'no row for what limits refuse')
  t.equal((await show(key.get(await begin()))).status, 200)
})
