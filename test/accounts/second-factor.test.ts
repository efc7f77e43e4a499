import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { keyring } from '../../src/config/secrets/keys.ts'
import { secrets } from '../../src/config/secrets/secrets.ts'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { type Answer, type Person, type Service, address, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

const ROUNDS = rounds(50, 3)
const WRONG = 'Incorrect code'
const NEEDED = 'Second factor required'
const REVOKED = 'Could not validate credentials'

/** Another code than those that are right now. */
const wrongCode = (secret: string) => {
  const right = new Set([-1, 0, 1].map((steps) => totpOf(secret, steps)))
  return ['000000', '111111', '222222', '333333'].find((code) => !right.has(code))!
}

interface Enrolled {
  readonly id: string
  readonly secret: string
  readonly recovery: string[]
}

function acts(service: Service) {
  const { call, rows } = service
  const enroll = (as: Person, body: object = {}) => call('POST', '/users/me/factors/totp', { as, body })
  const verify = (as: Person, id: string, code: string) =>
    call('POST', `/users/me/factors/${id}/verify`, { as, body: { code } })
  /** Codes are good once: this makes those of now good again. */
  const again = ({ id }: { id: string }) =>
    rows(sql`update factors set last_step = null where user_id = ${id}`)
  return {
    enroll,
    verify,
    again,
    factors: async (as: Person) => (await call('GET', '/users/me/factors', { as })).body,
    async enrolled(as: Person): Promise<Enrolled> {
      const { body } = await enroll(as)
      const verified = await verify(as, body.id, totpOf(body.secret))
      await again(as)
      return { id: body.id, secret: body.secret, recovery: verified.body.recovery_codes }
    },
    signIn: ({ email, password }: Pick<Person, 'email' | 'password'>, code?: string, from?: string) =>
      call('POST', '/login/access-token', {
        form: { username: email, password, ...(code !== undefined && { code }) },
        ...(from !== undefined && { from }),
      }),
    show: (challenge: string, code: string, from?: string) =>
      call('POST', '/login/second-factor', {
        body: { challenge, code },
        ...(from !== undefined && { from }),
      }),
    methods: async (token: string) => {
      const { body } = await call('GET', '/users/me/sessions', {
        headers: { authorization: `Bearer ${token}` },
      })
      return (body.data as { is_current: boolean; methods: string[] }[]).find((one) => one.is_current)
        ?.methods
    },
    remove: (as: Person, id: string) => call('DELETE', `/users/me/factors/${id}`, { as }),
    messagesTo: async (email: string) =>
      (
        await rows<{ message: string }>(
          sql`select message from emails where recipient = ${email} order by created_at, id`,
        )
      ).map(({ message }) => message),
  }
}

const isChallenge = (t: Test, { status, body }: Answer, message = 'a challenge') => {
  t.equal(status, 400, message)
  t.match(body, {
    detail: NEEDED,
    code: 'second_factor_required',
    challenge: /^[\w.-]+$/,
    methods: ['totp', 'recovery'],
    expires_in: 300,
  })
  return body.challenge as string
}

void test('a second factor', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, call, rows, admin, person } = service
  const act = acts(service)
  const { enroll, verify, again, factors, enrolled, signIn, show, methods, remove, messagesTo } = act

  await t.test(
    'an authenticator counts once a code of it was shown; then come ten recovery codes',
    async (t) => {
      const ada = await person()
      t.strictSame(await factors(ada), { data: [], recovery_codes_left: 0 })
      const { body } = await enroll(ada, { name: 'Phone' })
      t.match(body, { secret: /^[A-Z2-7]{32}$/, otpauth_uri: /^otpauth:\/\/totp\/.*secret=/ })
      t.match(new URL(body.otpauth_uri as string).searchParams.get('issuer'), 'Groundwork')
      t.match((await factors(ada)).data, [{ id: body.id, kind: 'totp', name: 'Phone', verified: false }])
      t.equal((await signIn(ada)).status, 200, 'it does not count yet')
      isAnswer(t, await verify(ada, body.id, wrongCode(body.secret)), 400, WRONG)
      const { body: given } = await verify(ada, body.id, totpOf(body.secret))
      t.equal(new Set(given.recovery_codes).size, 10)
      for (const code of given.recovery_codes as string[]) t.match(code, /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/)
      t.match(await factors(ada), { data: [{ verified: true }], recovery_codes_left: 10 })
      t.strictSame(await methods(ada.token), ['pwd', 'otp'], 'this session has shown it')
      isChallenge(t, await signIn(ada))
      t.match(await messagesTo(ada.email), ['way_in_changed'])
      t.notMatch((await call('GET', '/users/me/factors', { as: ada })).text, body.secret as string)
      const [row] = await rows<{ secret: string }>(sql`select secret from factors where id = ${body.id}`)
      t.notMatch(row!.secret, body.secret as string, 'it is stored encrypted')
    },
  )

  await t.test('a sign-in goes on with challenge and code', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    const challenge = isChallenge(t, await signIn(ada))
    isAnswer(t, await show(challenge, wrongCode(secret)), 400, WRONG)
    const { status, body } = await show(challenge, totpOf(secret))
    t.equal(status, 200)
    t.match(body, { access_token: /./, refresh_token: /./, expires_in: 3600 })
    t.strictSame(await methods(body.access_token), ['pwd', 'otp'])
    await again(ada)
    isAnswer(t, await show(challenge, totpOf(secret)), 400, 'Invalid token', 'a challenge is good once')
    for (const one of ['', 'garbage', `${challenge.slice(0, -2)}xx`])
      isAnswer(t, await show(one, totpOf(secret)), 400, 'Invalid token')
  })

  await t.test('a client that has the code sends it with the password', async (t) => {
    const [ada, bob] = [await person(), await person()]
    const { secret } = await enrolled(ada)
    const { status, body } = await signIn(ada, totpOf(secret))
    t.equal(status, 200)
    t.strictSame(await methods(body.access_token), ['pwd', 'otp'])
    await again(ada)
    isAnswer(t, await signIn(ada, wrongCode(secret)), 400, WRONG)
    isAnswer(
      t,
      await signIn({ ...ada, password: 'a wrong password' }, totpOf(secret)),
      400,
      'Incorrect email or password',
    )
    t.equal(
      (await signIn(ada, ` ${totpOf(secret).slice(0, 3)} ${totpOf(secret).slice(3)} `)).status,
      200,
      'with spaces',
    )
    isChallenge(t, await signIn(ada, ''), 'an empty code is none')
    t.equal((await signIn(bob, '123456')).status, 200, 'who has no factor needs none')
  })

  await t.test('RFC 6238, 5.2: a code is good once, over every way in', async (t) => {
    const ada = await person()
    const { id, secret } = await enrolled(ada)
    const code = totpOf(secret)
    t.equal((await signIn(ada, code)).status, 200)
    isAnswer(t, await signIn(ada, code), 400, WRONG)
    isAnswer(t, await show(isChallenge(t, await signIn(ada)), code), 400, WRONG)
    isAnswer(t, await verify(ada, id, code), 400, WRONG)
    isAnswer(t, await call('POST', '/login/reauthenticate', { as: ada, body: { code } }), 400, WRONG)
    isAnswer(t, await signIn(ada, totpOf(secret, -1)), 400, WRONG, 'nor is an earlier one from then on')
    t.equal((await signIn(ada, totpOf(secret, 1))).status, 200, 'a later one is')
  })

  await t.test('codes of one step before and after are taken, those further off are not', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    for (const steps of [-3, 3]) isAnswer(t, await signIn(ada, totpOf(secret, steps)), 400, WRONG)
    for (const steps of [-1, 0, 1]) {
      t.equal((await signIn(ada, totpOf(secret, steps))).status, 200, String(steps))
      await again(ada)
    }
  })

  await t.test('a recovery code is good once, however it is typed, and its owner is told', async (t) => {
    const ada = await person()
    const { recovery } = await enrolled(ada)
    const [first = '', second = ''] = recovery
    const { body } = await show(isChallenge(t, await signIn(ada)), first)
    t.strictSame(await methods(body.access_token), ['pwd', 'recovery'])
    t.equal((await factors(ada)).recovery_codes_left, 9)
    isAnswer(t, await signIn(ada, first), 400, WRONG)
    t.equal((await signIn(ada, second.toUpperCase().replaceAll('-', ' '))).status, 200)
    const [mail] = await rows<{ params: { left: string } }>(
      sql`select params from emails where recipient = ${ada.email} and message = 'recovery_code_used' order by created_at`,
    )
    t.equal(mail?.params.left, '9')
    const stored = await rows<{ hash: string }>(
      sql`select hash from recovery_codes where user_id = ${ada.id}`,
    )
    t.notMatch(JSON.stringify(stored), recovery[2]!)
  })

  await t.test('new recovery codes end the old ones, and need a second factor in the session', async (t) => {
    const ada = await person()
    const elsewhere = await service.again(ada)
    const { recovery } = await enrolled(ada)
    const make = (as: Person) => call('POST', '/users/me/recovery-codes', { as })
    isAnswer(t, await make(elsewhere), 403, NEEDED)
    const { body } = await make(ada)
    t.equal(new Set(body.recovery_codes).size, 10)
    isAnswer(t, await signIn(ada, recovery[0]), 400, WRONG)
    t.equal((await signIn(ada, body.recovery_codes[0] as string)).status, 200)
    const bob = await person()
    isAnswer(t, await make(bob), 403, NEEDED)
  })

  await t.test(
    'removing one needs a second factor in the session, and ends the other sessions',
    async (t) => {
      const ada = await person()
      const elsewhere = await service.again(ada)
      const { id, secret } = await enrolled(ada)
      isAnswer(t, await remove(elsewhere, id), 403, NEEDED)
      const third = await signIn(ada, totpOf(secret))
      isAnswer(t, await remove(ada, id), 200, { message: 'Factor removed' })
      for (const token of [elsewhere.token, third.body.access_token as string])
        t.equal((await call('GET', '/users/me', { as: { ...ada, token } })).status, 401)
      t.equal((await call('GET', '/users/me', { as: ada })).status, 200)
      t.strictSame(await factors(ada), { data: [], recovery_codes_left: 0 })
      t.equal((await signIn(ada)).status, 200)
      isAnswer(t, await remove(ada, id), 404, 'Factor not found')
      const bob = await person()
      const theirs = await enrolled(bob)
      isAnswer(t, await remove(ada, theirs.id), 404, 'Factor not found')
      isAnswer(t, await verify(ada, theirs.id, totpOf(theirs.secret)), 404, 'Factor not found')
    },
  )

  await t.test('one that does not count yet is replaced, and removed without a second factor', async (t) => {
    const ada = await person()
    const [{ body: first }, { body: second }] = [await enroll(ada), await enroll(ada)]
    t.strictSame(
      (await factors(ada)).data.map(({ id }: { id: string }) => id),
      [second.id],
    )
    isAnswer(t, await verify(ada, first.id, totpOf(first.secret)), 404, 'Factor not found')
    isAnswer(t, await remove(ada, second.id), 200, { message: 'Factor removed' })
  })

  await t.test('there are five at most, and the recovery codes come with the first alone', async (t) => {
    const ada = await person()
    const all: Enrolled[] = []
    for (let count = 0; count < 5; count++) all.push(await enrolled(ada))
    t.strictSame(
      all.map(({ recovery }) => recovery.length),
      [10, 0, 0, 0, 0],
    )
    isAnswer(t, await enroll(ada), 400, 'Too many factors')
    t.equal((await signIn(ada, totpOf(all[4]!.secret))).status, 200, 'any of them will do')
    await remove(ada, all[0]!.id)
    t.equal((await factors(ada)).recovery_codes_left, 10, 'they stay while there is a factor')
  })

  await t.test('a recent sign-in may be shown by a code', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    await rows(
      sql`update sessions set authenticated_at = now() - interval '2 hours', methods = '{pwd}' where user_id = ${ada.id}`,
    )
    isAnswer(t, await enroll(ada), 403, 'Recent sign-in required')
    const reauthenticate = (body: object) => call('POST', '/login/reauthenticate', { as: ada, body })
    isAnswer(t, await reauthenticate({ code: wrongCode(secret) }), 400, WRONG)
    isRefused(t, await reauthenticate({}), ['body.password'])
    isRefused(t, await reauthenticate({ code: totpOf(secret), password: ada.password }), ['body.password'])
    isAnswer(t, await reauthenticate({ code: totpOf(secret) }), 200, { message: 'Reauthenticated' })
    t.strictSame(await methods(ada.token), ['pwd', 'otp'])
    t.equal((await enroll(ada)).status, 200)
  })

  await t.test('a reset of the password leaves it on, and ends challenges', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    const challenge = isChallenge(t, await signIn(ada))
    const password = 'another horse battery'
    await call('POST', '/reset-password/', {
      body: { token: await service.resetToken(ada.email), new_password: password },
    })
    isAnswer(t, await show(challenge, totpOf(secret)), 400, 'Invalid token')
    isChallenge(t, await signIn({ ...ada, password }))
    t.equal((await signIn({ ...ada, password }, totpOf(secret))).status, 200)
  })

  await t.test('three challenges at a time, the newest; each for five minutes', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    const challenges: string[] = []
    for (let count = 0; count < 4; count++) challenges.push(isChallenge(t, await signIn(ada)))
    isAnswer(t, await show(challenges[0]!, totpOf(secret)), 400, 'Invalid token')
    t.equal((await show(challenges[1]!, totpOf(secret))).status, 200)
    await again(ada)
    await rows(sql`update login_challenges set expires_at = now() where user_id = ${ada.id}`)
    isAnswer(t, await show(challenges[2]!, totpOf(secret)), 400, 'Invalid token')
  })

  await t.test('superusers help who lost theirs: sessions end, and the owner is told', async (t) => {
    const ada = await person()
    await enrolled(ada)
    const reset = (id: string, as = admin) => call('DELETE', `/users/${id}/factors`, { as })
    isAnswer(t, await reset(ada.id, ada), 403, "The user doesn't have enough privileges")
    isAnswer(t, await reset(ada.id), 200, { message: 'Factors removed' })
    isAnswer(t, await call('GET', '/users/me', { as: ada }), 401, REVOKED)
    t.equal((await signIn(ada)).status, 200)
    isAnswer(t, await reset('00000000-0000-4000-8000-000000000000'), 404, 'User not found')
  })

  await t.test('an inactive user gets no session by a challenge', async (t) => {
    const ada = await person()
    const { secret } = await enrolled(ada)
    const challenge = isChallenge(t, await signIn(ada))
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active: false } })
    isAnswer(t, await show(challenge, totpOf(secret)), 400, 'Invalid token', 'deactivation ends challenges')
    isAnswer(t, await signIn(ada, totpOf(secret)), 400, 'Inactive user')
  })

  await t.test('a factor whose key is gone is a wrong code, and never a fault', async (t) => {
    const ada = await person()
    const { id, secret, recovery } = await enrolled(ada)
    const other = secrets(
      keyring({ SECRET_KEY: 'another secret that is long enough for this' }),
      'factor',
    ).seal(secret, id)
    for (const sealed of [other, 'x', `${other.split('.')[0]}.`]) {
      await rows(sql`update factors set secret = ${sealed} where id = ${id}`)
      isAnswer(t, await signIn(ada, totpOf(secret)), 400, WRONG)
    }
    t.equal((await signIn(ada, recovery[0])).status, 200, 'recovery codes go on')
  })

  await t.test(
    'a stolen address is taken back together with the factors that were added since',
    async (t) => {
      const ada = await person()
      await rows(sql`update users set is_verified = true where id = ${ada.id}`)
      await call('PATCH', '/users/me', { as: ada, body: { email: address() } })
      await enrolled(ada)
      const [mail] = await rows<{ token_id: string }>(
        sql`select token_id from emails where recipient = ${ada.email} and message = 'own_address_changed'`,
      )
      const token = app.auth.oneTimeTokens.sign('undo_email_change', mail!.token_id)
      t.equal((await call('POST', '/undo-email-change/', { body: { token } })).status, 200)
      t.strictSame(await rows(sql`select id from factors where user_id = ${ada.id}`), [])
      t.strictSame(await rows(sql`select hash from recovery_codes where user_id = ${ada.id}`), [])
    },
  )

  await t.test('at once: one code, one challenge and one recovery code open one session', async (t) => {
    const opened = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 200).length
    const many = (ask: () => Promise<Answer>) => Promise.all(Array.from({ length: 20 }, ask))
    const ada = await person()
    const { secret, recovery } = await enrolled(ada)
    for (let round = 0; round < ROUNDS; round++) {
      await again(ada)
      const code = totpOf(secret, round % 2)
      t.equal(opened(await many(() => signIn(ada, code))), 1, 'one code')
      await again(ada)
      const challenge = isChallenge(t, await signIn(ada))
      let n = 0
      const each = () => show(challenge, totpOf(secret, (n++ % 3) - 1))
      t.equal(opened(await many(each)), 1, 'one challenge')
    }
    for (const code of recovery) t.equal(opened(await many(() => signIn(ada, code))), 1, 'one recovery code')
  })

  await t.test('at once: a superuser’s reset, and sign-ins that go on with a challenge', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const ada = await person()
      const { recovery } = await enrolled(ada)
      const challenge = isChallenge(t, await signIn(ada))
      const answers = await Promise.all([
        ...recovery.slice(0, 3).map((code) => show(challenge, code)),
        call('DELETE', `/users/${ada.id}/factors`, { as: admin }),
        signIn(ada),
      ])
      for (const { status, text } of answers) t.ok([200, 400].includes(status), `${status} ${text}`)
      t.equal((await signIn(ada)).status, 200)
    }
  })

  await t.test('at once: removing the last factor and a sign-in with it', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const ada = await person()
      const { id, secret } = await enrolled(ada)
      const [removed, signedIn] = await Promise.all([remove(ada, id), signIn(ada, totpOf(secret))])
      t.equal(removed.status, 200)
      t.ok([200, 400].includes(signedIn.status))
      if (signedIn.status === 200) {
        const as = { ...ada, token: signedIn.body.access_token as string }
        const { status } = await call('GET', '/users/me', { as })
        t.ok(
          status === 401 || (await methods(as.token))?.join(' ') === 'pwd',
          'no session of the factor is left',
        )
      }
    }
  })
})

void test('allauth 65.8.1, CVE-2026-35597: wrong codes are counted over every way in, and a right password forgets none', async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'true' })
  cheapHashing(service)
  const { enrolled, signIn, show, verify } = acts(service)
  const ada = await service.person()
  const { id, secret } = await enrolled(ada)
  const bad = wrongCode(secret)
  const challenge = isChallenge(t, await signIn(ada))
  isAnswer(t, await show(challenge, bad), 400, WRONG)
  isAnswer(t, await signIn(ada, bad), 400, WRONG)
  isAnswer(t, await verify(ada, id, bad), 400, WRONG)
  isChallenge(t, await signIn(ada), 'a right password without a code is no failure')
  isAnswer(
    t,
    await service.call('POST', '/login/reauthenticate', { as: ada, body: { code: bad } }),
    400,
    WRONG,
  )
  isAnswer(t, await show(challenge, bad, '203.0.113.9'), 400, WRONG)
  const late = await Promise.all([
    show(challenge, totpOf(secret)),
    signIn(ada, totpOf(secret)),
    verify(ada, id, totpOf(secret)),
    service.call('POST', '/login/reauthenticate', { as: ada, body: { code: totpOf(secret) } }),
  ])
  for (const answer of late) isAnswer(t, answer, 429, 'Too many requests')
})

void test('SECOND_FACTOR=superusers: one without may do nothing but get one', async (t) => {
  const service = await startService(t, { SECOND_FACTOR: 'superusers' })
  cheapHashing(service)
  const { call, admin, person } = service
  const { enrolled } = acts(service)
  const ada = await person()
  for (const path of ['/users/', '/papers/', '/audit/', '/users/me/sessions'])
    isAnswer(t, await call('GET', path, { as: admin }), 403, NEEDED)
  isAnswer(t, await call('PATCH', `/users/${ada.id}`, { as: admin, body: {} }), 403, NEEDED)
  t.equal((await call('GET', '/users/me', { as: admin })).status, 200)
  await enrolled(admin)
  t.equal((await call('GET', '/users/', { as: admin })).status, 200)
  t.equal((await call('GET', '/users/me/sessions', { as: ada })).status, 200, 'others are not asked')
})
