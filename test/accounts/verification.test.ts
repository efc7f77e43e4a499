import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { type Person, type Service, address, startService } from '../support/service.ts'

const ROUNDS = rounds(50, 2)
const password = 'correct horse battery'
const NEW_PASSWORD = 'another horse battery'
const INVALID = 'Invalid token'
const VERIFIED = { message: 'Email verified successfully' }
const ASKED = { message: 'If that email is registered and not verified, we sent a verification link' }
const HERE = '203.0.113.7'
/** The user agent of the requests that tests inject. */
const DEVICE = 'lightMyRequest'
const env = { TRUST_PROXY: '127.0.0.1', RATE_LIMIT_ENABLED: 'false' }

interface Mail {
  readonly message: string
  readonly recipient: string
  readonly token_id: string | null
  readonly params: Record<string, string | null>
}

/** Requests and queries that these tests share. */
function acts(service: Service) {
  const { app, call, rows, admin } = service
  const headers = { 'x-forwarded-for': HERE }
  /** Without the notices that resetToken() causes. */
  const mailsTo = (email: string) =>
    rows<Mail>(
      sql`select message, recipient, token_id, params from emails
          where lower(recipient) = lower(${email}) and message <> 'recovery_link_shown' order by created_at, id`,
    )
  return {
    mailsTo,
    signup: (email: string, more: object = {}) =>
      call('POST', '/users/signup', { body: { email, password, ...more }, headers }),
    resend: (email: string) => call('POST', '/verify-email/resend', { body: { email } }),
    verify: (token: string) => call('POST', '/verify-email/', { body: { token } }),
    move: (as: Person, email: string) => call('PATCH', '/users/me', { as, body: { email }, headers }),
    administer: ({ id }: { id: string }, body: object) =>
      call('PATCH', `/users/${id}`, { as: admin, body, headers }),
    /** The tokens of the links that were mailed to an address, oldest first. */
    async linksTo(email: string) {
      const mails = (await mailsTo(email)).filter(({ message }) => /verification|new_address/.test(message))
      return mails.map(({ token_id }) => app.auth.oneTimeTokens.sign('verify_email', token_id ?? ''))
    },
    messagesTo: async (email: string) => (await mailsTo(email)).map(({ message }) => message),
    async isVerified(email: string) {
      const [user] = await rows<{ is_verified: boolean }>(
        sql`select is_verified from users where lower(email) = lower(${email})`,
      )
      return user?.is_verified
    },
  }
}

void test('verification, optional', async (t) => {
  const service = await startService(t, env)
  cheapHashing(service)
  const { app, call, rows, signIn, resetToken, admin } = service
  const act = acts(service)
  const { signup, resend, verify, move, administer, mailsTo, messagesTo, linksTo, isVerified } = act
  const allDead = async (t: Test, tokens: readonly string[], message?: string) => {
    for (const token of tokens) isAnswer(t, await verify(token), 400, INVALID, message)
  }
  const live = ({ id }: { id: string }) =>
    rows<{ id: string }>(
      sql`select id from one_time_tokens where user_id = ${id} and purpose = 'verify_email' and expires_at > now()`,
    )

  await t.test('a sign-up is mailed one link, which verifies the address once', async (t) => {
    const email = `Ada.${address()}`
    const { body } = await signup(email)
    t.equal(body.is_verified, false)
    const mails = await mailsTo(email)
    t.match(mails, [{ message: 'verification', recipient: email, token_id: /.{36}/ }])
    t.equal((await signIn(email, password)).status, 200, 'nobody has to wait for it')
    const [link] = await linksTo(email)
    isAnswer(t, await verify(link!), 200, VERIFIED)
    t.equal(await isVerified(email), true)
    isAnswer(t, await verify(link!), 400, INVALID, 'once')
    isAnswer(t, await resend(email), 200, ASKED)
    t.strictSame(await messagesTo(email), ['verification'], 'there is nothing to verify any more')
  })

  await t.test('fault 6: the verification mail says when and from where the account was made', async (t) => {
    const email = address()
    const { body } = await signup(email)
    const [mail] = await mailsTo(email)
    const { from, made_at } = mail!.params
    t.equal(from, HERE)
    t.equal(new Date(made_at!).toISOString(), body.created_at)
    await rows(sql`update users set created_at = created_at - interval '3 days' where id = ${body.id}`)
    await resend(email)
    const [, again] = await mailsTo(email)
    t.equal(again!.params.from, HERE, 'the one that is asked for later as well')
    t.equal(Date.parse(made_at!) - Date.parse(again!.params.made_at!), 3 * 24 * 3600_000)
  })

  await t.test('fault 6: a reset signs out whoever registered the address before its owner', async (t) => {
    const email = address()
    await signup(email, { full_name: 'Mallory' })
    const { body: first } = await signIn(email, password)
    const { body: second } = await signIn(email, password)
    const mallory = { headers: { authorization: `Bearer ${first.access_token}` } }
    await resend(email)
    const theirs = await linksTo(email)

    const reset = { token: await resetToken(email), new_password: NEW_PASSWORD }
    t.equal((await call('POST', '/reset-password/', { body: reset })).status, 200)
    isAnswer(t, await signIn(email, password), 400, 'Incorrect email or password')
    t.equal((await call('GET', '/users/me', mallory)).status, 401)
    for (const { refresh_token } of [first, second])
      t.equal((await call('POST', '/login/refresh-token', { body: { refresh_token } })).status, 401)
    await allDead(t, theirs)
    t.equal(await isVerified(email), true, 'the link of the reset has shown whose address it is')
    t.equal((await signIn(email, NEW_PASSWORD)).status, 200)
  })

  await t.test('asking for a link reveals no account, and mails only active, unverified users', async (t) => {
    const [known, verified, inactive] = [
      await service.person(),
      await service.person(),
      await service.person(),
    ]
    await rows(sql`update users set is_verified = true where id = ${verified.id}`)
    await administer(inactive, { is_active: false })
    const asked = [known.email, known.email.toUpperCase(), verified.email, inactive.email, address()]
    const answers = await Promise.all(asked.map(resend))
    for (const answer of answers) {
      isAnswer(t, answer, 200, ASKED)
      t.strictSame(Object.keys(answer.headers), Object.keys(answers[0]!.headers))
    }
    t.strictSame(await messagesTo(known.email), ['verification', 'verification'])
    t.strictSame((await mailsTo(known.email))[0]!.recipient, known.email, 'to the address that it has')
    for (const { email } of [verified, inactive]) t.strictSame(await messagesTo(email), [])
    t.strictSame(await messagesTo(asked.at(-1)!), [])
    isRefused(t, await resend('ada'), ['body.email'])
    isRefused(t, await call('POST', '/verify-email/resend'), ['body'])
  })

  await t.test('fault 7: each mail has a link of its own, and all are 400 once one is used', async (t) => {
    const email = address()
    const { body } = await signup(email)
    for (let asked = 0; asked < 5; asked++) await resend(email)
    const links = await linksTo(email)
    t.equal(new Set(links).size, 6)
    t.equal((await live(body)).length, 6, 'asking for more ends none')
    isAnswer(t, await verify(links[0]!), 200, VERIFIED, "the owner's, which is the first")
    await allDead(t, links)
    t.equal((await live(body)).length, 0)
  })

  await t.test(`fault 7: a link used 20 times at once verifies once, ${ROUNDS} times`, async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = address()
      await signup(email)
      await resend(email)
      const [one, other] = await linksTo(email)
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, at) => (at % 2 ? verify(one!) : verify(other!))),
      )
      const done = answers.filter(({ status }) => status === 200)
      t.equal(done.length, 1)
      t.ok(answers.every(({ status }) => [200, 400].includes(status)))
      t.equal(await isVerified(email), true)
    }
  })

  await t.test(
    `fault 7: every link that is mailed works, also when 20 ask at once, ${ROUNDS} times`,
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const email = address()
        const { body } = await signup(email)
        const answers = await Promise.all(Array.from({ length: 20 }, () => resend(email)))
        t.ok(answers.every(({ status }) => status === 200))
        const ids = (await live(body)).map(({ id }) => app.auth.oneTimeTokens.sign('verify_email', id))
        t.equal(ids.length, 21)
        t.strictSame(new Set(await linksTo(email)), new Set(ids))
      }
    },
  )

  await t.test('fault 7: GET, HEAD and OPTIONS of a link do not use it up', async (t) => {
    const email = address()
    await signup(email)
    const [link] = await linksTo(email)
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const)
      await call(method, `/verify-email/?token=${link}`)
    t.equal(await isVerified(email), false)
    isAnswer(t, await verify(link!), 200, VERIFIED)
  })

  await t.test('fault 3: only a verification token verifies an address, and it does only that', async (t) => {
    const person = await service.person()
    await resend(person.email)
    const [link] = await linksTo(person.email)
    const { body: tokens } = await signIn(person.email, password)
    const reset = await resetToken(person.email)
    const [id] = link!.split('.') as [string]
    const { sign } = app.auth.oneTimeTokens
    const others = [
      tokens.access_token,
      tokens.refresh_token,
      reset,
      sign('verify_email', reset.split('.')[0]!),
      sign('reset_password', id),
      sign('verify_email', person.id),
      id,
      `${id}.`,
      link!.toUpperCase(),
      `${link}A`,
      '',
      'x'.repeat(30_000),
    ]
    await allDead(t, others)
    t.equal(await isVerified(person.email), false)
    const body = { token: link, new_password: NEW_PASSWORD }
    isAnswer(t, await call('POST', '/reset-password/', { body }), 400, INVALID)
    const headers = { authorization: `Bearer ${link}` }
    t.equal((await call('GET', '/users/me', { headers })).status, 401)
    t.equal((await call('POST', '/login/refresh-token', { body: { refresh_token: link } })).status, 401)
    isRefused(t, await call('POST', '/verify-email/', { body: { token: 5 } }), ['body.token'])
    isRefused(t, await call('POST', '/verify-email/', { body: { token: 'a\0' } }), ['body.token'])
    isAnswer(t, await verify(link!), 200, VERIFIED, 'and the right one still works')
  })

  await t.test('a verification link is valid for 48 hours, and is 400 once it has expired', async (t) => {
    const email = address()
    const { body } = await signup(email)
    const life = sql`select extract(epoch from expires_at - created_at)::integer as life from one_time_tokens where user_id = ${body.id}`
    t.strictSame(await rows(life), [{ life: 48 * 3600 }])
    await rows(sql`update one_time_tokens set expires_at = now() where user_id = ${body.id}`)
    await allDead(t, await linksTo(email))
    t.equal(await isVerified(email), false)
  })

  await t.test('a new address is unverified and is mailed a link, the old one a notice', async (t) => {
    const [ada, old] = [await service.person(), address()]
    await administer(ada, { email: old })
    const [first] = await linksTo(old)
    await verify(first!)
    t.equal(await isVerified(old), true)
    for (let asked = 0; asked < 2; asked++) await resetToken(old)

    const email = address()
    const { status, body } = await move(ada, email)
    t.match({ status, body }, { status: 200, body: { email, is_verified: false } })
    const [link, ...more] = await mailsTo(email)
    t.match(link, { message: 'new_address', recipient: email, token_id: /.{36}/ })
    t.strictSame(more, [])
    const [, notice, ...others] = await mailsTo(old)
    t.match(notice, { message: 'own_address_changed', recipient: old, token_id: /.{36}/ })
    t.strictSame(notice!.params, { from: HERE, device: DEVICE })
    t.strictSame(others, [])
    isAnswer(t, await verify((await linksTo(email))[0]!), 200, VERIFIED)
    t.equal(await isVerified(email), true)
  })

  await t.test('links mailed to an address are 400 once the account has another', async (t) => {
    const ada = await service.person()
    for (let asked = 0; asked < 3; asked++) await resend(ada.email)
    const old = await linksTo(ada.email)
    const resets = [await resetToken(ada.email), await resetToken(ada.email), await resetToken(ada.email)]
    const email = address()
    await move(ada, email)
    await allDead(t, old)
    for (const token of resets) {
      const body = { token, new_password: NEW_PASSWORD }
      isAnswer(t, await call('POST', '/reset-password/', { body }), 400, INVALID)
    }
    t.equal((await live(ada)).length, 1, 'only that of the new one is left')
    t.equal(await isVerified(email), false)

    await move(ada, ada.email)
    await allDead(t, [...old, ...(await linksTo(email))], 'changing back revives none')
    const back = (await linksTo(ada.email)).filter((link) => !old.includes(link))
    t.equal(back.length, 1)
    isAnswer(t, await verify(back[0]!), 200, VERIFIED, 'it has a link of its own')
    t.strictSame(await messagesTo(email), ['new_address', 'own_address_changed'])
  })

  await t.test('a change of case keeps an address verified and its links valid', async (t) => {
    const ada = await service.person()
    await resend(ada.email)
    const [link] = await linksTo(ada.email)
    t.match(await move(ada, ada.email.toUpperCase()), { status: 200, body: { is_verified: false } })
    isAnswer(t, await verify(link!), 200, VERIFIED, 'its link still works')
    t.match(await move(ada, ada.email), { body: { is_verified: true } }, 'and it stays verified')
    t.match(await administer(ada, { email: ada.email.toUpperCase() }), { body: { is_verified: true } })
    t.strictSame(await messagesTo(ada.email), ['verification'], 'nobody is mailed about it')
  })

  await t.test('an address changed by a superuser is unverified, with a link and a notice', async (t) => {
    const ada = await service.person()
    await resend(ada.email)
    const [link] = await linksTo(ada.email)
    const email = address()
    t.match(await administer(ada, { email, password: NEW_PASSWORD }), { body: { email, is_verified: false } })
    await allDead(t, [link!])
    t.strictSame((await messagesTo(email)).toSorted(), ['new_address', 'password_changed'])
    const notice = (await mailsTo(ada.email)).at(-1)
    t.match(notice, { message: 'address_changed', token_id: null })
    t.strictSame(notice!.params, { from: null }, "no network address of the administrator's")
    isAnswer(t, await verify((await linksTo(email))[0]!), 200, VERIFIED)
  })

  await t.test('a change to a taken address is 409 and mails nobody', async (t) => {
    const [ada, bob] = [await service.person(), await service.person()]
    t.equal((await move(ada, bob.email)).status, 409)
    t.equal((await administer(ada, { email: bob.email.toUpperCase() })).status, 409)
    for (const { email } of [ada, bob]) t.strictSame(await messagesTo(email), [])
  })

  await t.test('each change of password is mailed to the owner, with where it came from', async (t) => {
    const ada = await service.person()
    const change = { current_password: ada.password, new_password: NEW_PASSWORD }
    await call('PATCH', '/users/me/password', { as: ada, body: change, headers: { 'x-forwarded-for': HERE } })
    await administer(ada, { password })
    const token = await resetToken(ada.email)
    const body = { token, new_password: NEW_PASSWORD }
    await call('POST', '/reset-password/', { body, headers: { 'x-forwarded-for': '198.51.100.9' } })
    const mails = await mailsTo(ada.email)
    t.ok(mails.every(({ message }) => message === 'password_changed'))
    t.strictSame(
      mails.map(({ params }) => params),
      [{ from: HERE, device: DEVICE }, { from: null }, { from: '198.51.100.9', device: DEVICE }],
    )
    const wrong = { current_password: 'wrong', new_password: password }
    const again = await service.again({ ...ada, password: NEW_PASSWORD })
    await call('PATCH', '/users/me/password', { as: again, body: wrong })
    await administer(ada, { full_name: 'Ada L.' })
    t.equal((await mailsTo(ada.email)).length, 3, 'nothing else is one')
  })

  await t.test(
    `whatever happens to an address at once, every request is 200 or 400, ${ROUNDS} times`,
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const ada = await service.person()
        await resend(ada.email)
        const [link] = await linksTo(ada.email)
        const [one, other] = [address(), address()]
        const answers = await Promise.all([
          verify(link!),
          move(ada, one),
          resend(ada.email),
          administer(ada, { email: other }),
          resend(one),
          verify(link!),
          move(ada, ada.email),
        ])
        for (const { status, text } of answers) t.ok([200, 400].includes(status), `${status} ${text}`)
        const [user] = await rows<{ email: string; is_verified: boolean }>(
          sql`select email, is_verified from users where id = ${ada.id}`,
        )
        if (user!.email !== ada.email) t.equal(user!.is_verified, false, 'nobody has shown that it is theirs')
      }
    },
  )

  await t.test('a changed address of a superuser is unverified too', async (t) => {
    const boss = await service.superuser()
    t.match(await move(boss, address()), { body: { is_verified: false } })
    t.equal(await isVerified(admin.email), true, 'the first one is verified')
  })
})

void test('verification, required', async (t) => {
  const service = await startService(t, { ...env, EMAIL_VERIFICATION: 'required' })
  cheapHashing(service)
  const { call, rows, signIn, resetToken, admin } = service
  const { signup, resend, verify, move, mailsTo, messagesTo, linksTo, isVerified } = acts(service)
  const UNVERIFIED = 'Email not verified'

  await t.test('nobody signs in unverified, and only the right password is told why', async (t) => {
    const email = address()
    await signup(email)
    isAnswer(t, await signIn(email, password), 400, UNVERIFIED)
    isAnswer(t, await signIn(email, 'wrong horse'), 400, 'Incorrect email or password')
    t.strictSame(
      await rows(
        sql`select sessions.id from sessions join users on users.id = user_id where email = ${email}`,
      ),
      [],
    )
    await verify((await linksTo(email))[0]!)
    t.equal((await signIn(email, password)).status, 200)
    t.equal((await signIn(admin.email, admin.password)).status, 200, 'the first superuser can')
  })

  await t.test('a reset verifies the address too', async (t) => {
    const email = address()
    await signup(email)
    const body = { token: await resetToken(email), new_password: NEW_PASSWORD }
    t.equal((await call('POST', '/reset-password/', { body })).status, 200)
    t.equal((await signIn(email, NEW_PASSWORD)).status, 200)
  })

  await t.test(
    'a sign-up with a taken address is answered exactly like any other, and mails its owner',
    async (t) => {
      const known = address()
      const { body: first } = await signup(known, { full_name: 'Ada' })
      await verify((await linksTo(known))[0]!)
      for (const [email, stranger] of [
        [known.toUpperCase(), address().toUpperCase()],
        [admin.email, 'nobody@example.com'],
      ] as const) {
        for (const more of [{}, { full_name: null }, { full_name: 'Eve', is_superuser: true }]) {
          const [again, fresh] = [await signup(email, more), await signup(stranger, more)]
          await rows(sql`delete from users where email = ${stranger}`)
          t.strictSame([again.status, fresh.status], [200, 200])
          const shape = ({ body }: typeof again) => ({ ...body, id: 0, email: 0, created_at: 0 })
          t.strictSame(shape(again), shape(fresh))
          t.equal(again.body.email, email)
          t.strictSame(Object.keys(again.body), Object.keys(fresh.body), 'in the same order')
          const headers = ({ headers }: typeof again) => ({
            ...headers,
            'content-length':
              Number(headers['content-length']) -
              email.length * Number(headers === again.headers) -
              stranger.length * Number(headers === fresh.headers),
            'x-request-id': 0,
            date: 0,
          })
          t.strictSame(headers(again), headers(fresh))
          for (const { id, created_at } of [again.body, fresh.body]) {
            t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
            t.ok(Math.abs(Date.parse(created_at) - Date.now()) < 10_000)
          }
          t.not(again.body.id, first.id)
        }
      }
      t.strictSame(await messagesTo(known), ['verification', ...Array<string>(3).fill('account_exists')])
      const told = (await mailsTo(known)).at(-1)
      t.strictSame(told, {
        message: 'account_exists',
        recipient: known,
        token_id: null,
        params: { from: HERE, device: DEVICE },
      })
      t.match((await signIn(known, password)).status, 200, 'the account is as it was')
      t.match(await rows(sql`select full_name from users where email = ${known}`), [{ full_name: 'Ada' }])
    },
  )

  await t.test(
    'a sign-up with the address of an unverified account is mailed a link to take it over',
    async (t) => {
      const email = address()
      const { body: first } = await signup(email, { full_name: 'Mallory' })
      await rows(sql`update users set registered_from = '198.51.100.6' where email = ${email}`)
      t.equal((await signup(email.toUpperCase(), { full_name: 'Ada' })).status, 200)
      const told = (await mailsTo(email)).at(-1)!
      t.match(told, { message: 'account_unconfirmed', recipient: email, params: { from: HERE } })
      t.equal(new Date(told.params.made_at!).toISOString(), first.created_at, 'it says when')
      t.equal(told.params.made_from, '198.51.100.6', 'and from where the account was made')

      const token = service.app.auth.oneTimeTokens.sign('reset_password', told.token_id!)
      const body = { token, new_password: NEW_PASSWORD }
      t.equal((await call('POST', '/reset-password/', { body })).status, 200)
      t.equal((await signIn(email, NEW_PASSWORD)).status, 200, 'whose address it is gets in')
      isAnswer(t, await signIn(email, password), 400, 'Incorrect email or password', 'and nobody else')
      t.equal((await mailsTo(email)).at(-1)!.message, 'password_changed')
      await signup(email)
      t.equal((await mailsTo(email)).at(-1)!.message, 'account_exists', 'now it is confirmed')
    },
  )

  await t.test(
    'a sign-up with the address of a deactivated account is mailed no link to take it over',
    async (t) => {
      const email = address()
      await signup(email)
      await rows(sql`update users set is_active = false where email = ${email}`)
      await signup(email)
      t.match((await mailsTo(email)).at(-1), { message: 'account_exists', token_id: null })
    },
  )

  await t.test('a common password is 422 whether or not the address is taken', async (t) => {
    const answers = await Promise.all(
      [admin.email, address()].map((email) => signup(email, { password: 'password1' })),
    )
    for (const answer of answers) isRefused(t, answer, ['body.password'])
  })

  await t.test(`fault 8: 20 sign-ups at once with one address make one row, ${ROUNDS} times`, async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = address()
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, at) => signup(at % 2 ? email : email.toUpperCase())),
      )
      t.ok(answers.every(({ status }) => status === 200))
      const users = await rows<{ id: string }>(sql`select id from users where lower(email) = ${email}`)
      t.equal(users.length, 1)
      t.equal(answers.filter(({ body }) => body.id === users[0]!.id).length, 1)
      t.equal((await linksTo(email)).length, 1)
    }
  })

  await t.test('sign-ups while a superuser deletes the account are 200', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = address()
      const { body } = await signup(email)
      const answers = await Promise.all([
        signup(email),
        call('DELETE', `/users/${body.id}`, { as: admin }),
        signup(email),
        resend(email),
        signup(email),
      ])
      for (const { status, text } of answers) t.equal(status, 200, text)
    }
  })

  await t.test(
    'a user with a new address is 401 until it is verified, and then keeps the session',
    async (t) => {
      const email = address()
      await signup(email)
      await verify((await linksTo(email))[0]!)
      const { body } = await signIn(email, password)
      const ada = { id: '', email, password, token: body.access_token }
      const next = address()
      t.match(await move(ada, next), { status: 200, body: { is_verified: false } })
      t.equal((await call('GET', '/users/me', { as: ada })).status, 401)
      isAnswer(t, await signIn(next, password), 400, UNVERIFIED)
      await verify((await linksTo(next))[0]!)
      t.equal((await call('GET', '/users/me', { as: ada })).status, 200)
      t.equal((await signIn(next, password)).status, 200)
    },
  )

  await t.test('a user created by a superuser is unverified, and can ask for a link', async (t) => {
    const { body } = await call('POST', '/users/', { as: admin, body: { email: address(), password } })
    isAnswer(t, await signIn(body.email, password), 400, UNVERIFIED)
    await resend(body.email)
    t.strictSame((await messagesTo(body.email)).toSorted(), ['verification', 'welcome'])
    t.equal(await isVerified(body.email), false)
  })
})

void test('verification, off', async (t) => {
  const service = await startService(t, { ...env, EMAIL_VERIFICATION: 'off' })
  cheapHashing(service)
  const { call, signIn, rows } = service
  const { signup, resend, move, messagesTo } = acts(service)
  const email = address()
  t.match(await signup(email), { status: 200, body: { is_verified: false } })
  t.equal((await signIn(email, password)).status, 200)
  isAnswer(t, await resend(email), 200, ASKED)
  t.strictSame(await messagesTo(email), [], 'frontends without such a page are sent nobody')
  isAnswer(t, await signup(email), 400, 'The user with this email already exists in the system')

  const ada = await service.person()
  const next = address()
  t.match(await move(ada, next), { status: 200, body: { email: next, is_verified: false } })
  t.strictSame(await messagesTo(next), [])
  t.strictSame(await messagesTo(ada.email), ['own_address_changed'], 'the old address is told all the same')
  await call('POST', `/password-recovery/${next}`)
  t.strictSame(await messagesTo(next), ['recovery'])
  t.strictSame(await rows(sql`select id from one_time_tokens where purpose = 'verify_email'`), [])
})

void test('without a mail server, no mail is queued', async (t) => {
  const service = await startService(t, {
    ...env,
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
  })
  cheapHashing(service)
  const { call, admin, rows, resetToken } = service
  const { signup, resend, move } = acts(service)
  const email = address()
  t.match(await signup(email), { status: 200, body: { is_verified: false } })
  isAnswer(t, await resend(email), 200, ASKED)
  await call('POST', `/password-recovery/${email}`)
  const ada = await service.again({ id: '', email, password, token: '' })
  const next = address()
  t.match(await move(ada, next), { status: 200, body: { email: next } })
  const change = { current_password: password, new_password: NEW_PASSWORD }
  t.equal((await call('PATCH', '/users/me/password', { as: ada, body: change })).status, 200)
  await call('PATCH', `/users/${ada.id}`, { as: admin, body: { email, password } })
  await call('POST', '/users/', { as: admin, body: { email: address(), password } })
  const reset = { token: await resetToken(email), new_password: NEW_PASSWORD }
  t.equal((await call('POST', '/reset-password/', { body: reset })).status, 200)
  const { body: tokens } = await service.signIn(email, NEW_PASSWORD)
  const refresh = () =>
    call('POST', '/login/refresh-token', { body: { refresh_token: tokens.refresh_token } })
  const { body: newest } = await refresh()
  await call('POST', '/login/refresh-token', { body: { refresh_token: newest.refresh_token } })
  await rows(sql`update sessions set refreshed_at = now() - interval '2 minutes'`)
  t.equal((await refresh()).status, 401, 'the session ends all the same')
  t.strictSame(await rows(sql`select message from emails`), [])
})
