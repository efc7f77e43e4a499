import { hash as argon2 } from '@node-rs/argon2'
import { hashSync } from 'bcryptjs'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { type Answer, type Person, address, startService } from '../support/service.ts'

const INCORRECT = 'Incorrect email or password'
const few = { memoryCost: 1024, timeCost: 1, parallelism: 1 }

void test('a password matches in whichever Unicode form a keyboard types it', async (t) => {
  const service = await startService(t)
  const { call, signIn, rows, resetToken } = service
  const signUp = (password: string, email = address()) =>
    call('POST', '/users/signup', { body: { email, password } })
  const hashOf = async ({ id }: { id: string }) => {
    const [row] = await rows<{ hash: string }>(sql`select hashed_password hash from users where id = ${id}`)
    return row!.hash
  }
  const spelled: Record<string, [chosen: string, typed: string]> = {
    'composed, then decomposed': ['caf\u00e9 au lait', 'cafe\u0301 au lait'],
    'decomposed, then composed': ['cafe\u0301 au lait', 'caf\u00e9 au lait'],
    'full-width, then not': ['\uff30\uff41\uff53\uff53 phrase', 'Pass phrase'],
    'with a ligature, then without': ['\ufb01ne old words', 'fine old words'],
    'with another space': ['some\u00a0old words', 'some old words'],
    'Hangul in parts': ['\u1112\u1161\u11ab\u1100\u1173\u11af password', '\ud55c\uae00 password'],
  }
  for (const [how, [chosen, typed]] of Object.entries(spelled))
    await t.test(how, async (t) => {
      const email = address()
      t.equal((await signUp(chosen, email)).status, 200)
      for (const password of [chosen, typed]) t.equal((await signIn(email, password)).status, 200, password)
      isAnswer(t, await signIn(email, `${typed}.`), 400, INCORRECT)
    })

  await t.test('an old hash of a password that was not normalised works, and is replaced', async (t) => {
    const typed = 'cafe\u0301 au lait'
    for (const old of [await argon2(typed, few), hashSync(typed, 4)]) {
      const ada = await service.person()
      await rows(sql`update users set hashed_password = ${old} where id = ${ada.id}`)
      isAnswer(t, await signIn(ada.email, 'caf\u00e9 au lait'), 400, INCORRECT, 'not what is another text')
      t.equal((await signIn(ada.email, typed)).status, 200)
      t.not(await hashOf(ada), old)
      for (const password of [typed, 'caf\u00e9 au lait'])
        t.equal((await signIn(ada.email, password)).status, 200, 'from now on')
    }
  })

  await t.test('an old password that is too long once it is normalised still signs in', async (t) => {
    const ada = await service.person()
    const old = '\ufdfa'.repeat(20)
    await rows(sql`update users set hashed_password = ${await argon2(old, few)} where id = ${ada.id}`)
    for (let times = 0; times < 2; times++) t.equal((await signIn(ada.email, old)).status, 200)
  })

  await t.test('the length of a new password is that of its normal form, at sign-up and reset', async (t) => {
    const ada = await service.person()
    const ways: Record<string, (password: string) => Promise<Answer>> = {
      'body.password': (password) => signUp(password),
      'body.new_password': async (new_password) =>
        call('POST', '/reset-password/', { body: { token: await resetToken(ada.email), new_password } }),
    }
    for (const [field, choose] of Object.entries(ways)) {
      const short = await choose('e\u0301'.repeat(7))
      isRefused(t, short, [field])
      t.match(short.body.detail[0], { type: 'string_too_short' }, '7 letters of two code points')
      const long = await choose('\ufdfa'.repeat(8))
      isRefused(t, long, [field])
      t.match(long.body.detail[0], { type: 'string_too_long' }, '8 letters of 18 code points')
      isRefused(t, await choose('e\u0301'.repeat(9_000)), [field])
      t.equal((await choose('e\u0301'.repeat(128))).status, 200, '128 letters of two code points')
    }
    t.equal((await signIn(ada.email, 'e\u0301'.repeat(128))).status, 200)
    t.equal((await signIn(ada.email, '\u00e9'.repeat(128))).status, 200)
    isAnswer(t, await signIn(ada.email, '\u00e9'.repeat(129)), 400, INCORRECT)
  })

  await t.test('a change of password recognises the current password in any Unicode form', async (t) => {
    const ada = await service.person({ password: 'caf\u00e9 au lait '.repeat(9) })
    const typed = 'cafe\u0301 au lait '.repeat(9)
    const change = (current_password: string, new_password: string) =>
      call('PATCH', '/users/me/password', { as: ada, body: { current_password, new_password } })
    isAnswer(t, await change(typed, typed), 400, 'New password cannot be the same as the current one')
    t.equal((await change(typed, 'another cafe\u0301')).status, 200)
    t.equal((await signIn(ada.email, 'another caf\u00e9')).status, 200)
  })
})

void test('a password made of the account’s address or the project’s name is refused', async (t) => {
  const service = await startService(t, { PROJECT_NAME: 'Analytical Engines' })
  const { call, admin, resetToken } = service
  const guesses = (email: string) => {
    const [local = '', domain = ''] = email.split('@')
    return [
      email,
      local,
      local.toUpperCase(),
      `${local}1`,
      `${local}2026!`,
      `!${local}`,
      local + local,
      domain,
    ]
  }
  const ofProject = [
    'Analytical Engines',
    'analyticalengines',
    'ANALYTICAL-ENGINES',
    'Analytical Engines 2026!',
  ]
  const isGuessable = (t: Tap, answer: Answer, field: string, password: string) => {
    isRefused(t, answer, [`body.${field}`], password)
    t.equal(answer.body.detail[0].type, 'common_password')
  }
  type Tap = Parameters<typeof isRefused>[0]
  let people = 0
  const email = () => `Ada.Lovelace${(people += 1)}@engines.example.com`

  await t.test('a guessable password is 422 at sign-up and at a creation by a superuser', async (t) => {
    for (const [path, as] of [
      ['/users/signup', undefined],
      ['/users/', admin],
    ] as const) {
      const body = { email: email() }
      for (const password of [...guesses(body.email), ...ofProject])
        isGuessable(t, await call('POST', path, { as, body: { ...body, password } }), 'password', password)
      t.equal(
        (await call('POST', path, { as, body: { ...body, password: `${body.email} rides` } })).status,
        200,
      )
    }
  })

  const person = (): Promise<Person> => service.person({ email: email() })
  await t.test('a guessable password is 422 at a change, a reset and an update by a superuser', async (t) => {
    const ada = await person()
    const token = await resetToken(ada.email)
    const next = 'Somebody.Else@engines.example.com'
    for (const password of [...guesses(ada.email), ...ofProject]) {
      const change = { current_password: ada.password, new_password: password }
      isGuessable(
        t,
        await call('PATCH', '/users/me/password', { as: ada, body: change }),
        'new_password',
        password,
      )
      const reset = { token, new_password: password }
      isGuessable(t, await call('POST', '/reset-password/', { body: reset }), 'new_password', password)
      const update = { password }
      isGuessable(
        t,
        await call('PATCH', `/users/${ada.id}`, { as: admin, body: update }),
        'password',
        password,
      )
    }
    const moved = { email: next, password: 'somebody.else' }
    isGuessable(
      t,
      await call('PATCH', `/users/${ada.id}`, { as: admin, body: moved }),
      'password',
      'the new address',
    )
  })

  await t.test('a password that merely contains a short part of the address is accepted', async (t) => {
    const body = { email: 'a@example.org', password: 'a12345678x' }
    t.equal((await call('POST', '/users/signup', { body })).status, 200)
  })
})

void test('where verification is required, a user who changes their address is 401 until it is verified', async (t) => {
  const service = await startService(t, { EMAIL_VERIFICATION: 'required' })
  const { call, admin, rows } = service
  const email = address()
  const made = { email, password: 'correct horse battery', full_name: null, is_verified: true }
  const { body } = await call('POST', '/private/users/', { body: made })
  const { body: tokens } = await service.signIn(email, made.password)
  const as = { id: body.id, email, password: made.password, token: tokens.access_token } as Person
  const moved = address()
  t.match(await call('PATCH', '/users/me', { as, body: { email: moved } }), {
    status: 200,
    body: { is_verified: false },
  })
  const refresh = () =>
    call('POST', '/login/refresh-token', { body: { refresh_token: tokens.refresh_token } })
  for (const answer of [
    await call('GET', '/users/me', { as }),
    await call('GET', '/papers/', { as }),
    await refresh(),
  ])
    isAnswer(t, answer, 401, 'Could not validate credentials')
  await rows(sql`update users set is_verified = true where id = ${as.id}`)
  t.equal((await call('GET', '/users/me', { as })).status, 200, 'verified, the session goes on')
  t.equal((await refresh()).status, 200)
  t.equal((await call('GET', '/users/me', { as: admin })).status, 200)
})
