import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { startMailServer } from '../support/mail-server.ts'
import { startMailing } from '../support/mailing.ts'
import { address, startService } from '../support/service.ts'

const password = 'correct horse battery'
const NBSP = '\u00A0'

void test('spellings of an email address', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { admin, call, rows, signIn } = service
  const signup = (email: string) => call('POST', '/users/signup', { body: { email, password } })
  const mailsTo = async (recipient: string) =>
    (await rows(sql`select from emails where recipient = ${recipient}`)).length

  await t.test('white space around an email address is removed, at every endpoint', async (t) => {
    for (const space of [' ', NBSP, '\t', '\n', '\u3000', '\u200B', '\uFEFF', ` ${NBSP}\u200B `]) {
      const email = address()
      const spaced = space + email + space
      const { status, body } = await signup(spaced)
      t.match({ status, body }, { status: 200, body: { email } }, JSON.stringify(space))
      isAnswer(t, await signup(email), 400, 'The user with this email already exists in the system')
      t.equal((await signIn(spaced, password)).status, 200)
      await call('POST', `/password-recovery/${encodeURIComponent(spaced)}`)
      await call('POST', '/verify-email/resend', { body: { email: spaced } })
      await call('POST', `/utils/test-email/?email_to=${encodeURIComponent(spaced)}`, { as: admin })
      t.equal(await mailsTo(email), 4, 'sign-up, recovery, resend, test')
      const path = `/password-recovery-html-content/${encodeURIComponent(spaced)}`
      t.equal((await call('POST', path, { as: admin })).status, 200)
      const patched = await call('PATCH', `/users/${body.id}`, { as: admin, body: { email: spaced } })
      t.match(patched, { status: 200, body: { email } })
    }
    t.equal((await signup(' '.repeat(20_000))).status, 422)
  })

  await t.test('a Unicode domain and its punycode form are one address', async (t) => {
    const [unicode, ascii] = ['Ada@Bücher.example', 'Ada@xn--bcher-kva.example']
    const { body } = await signup(unicode)
    t.equal(body.email, ascii)
    for (const spelled of [unicode, ascii, 'ada@BÜCHER.example', 'ADA@XN--BCHER-KVA.example']) {
      t.equal((await signup(spelled)).status, 400, `${spelled} is taken`)
      t.equal((await signIn(spelled, password)).status, 200, `${spelled} signs in`)
    }
    const created = await call('POST', '/users/', { as: admin, body: { email: unicode, password } })
    t.equal(created.status, 400)
  })

  await t.test('a local part in another script is stored in its composed form (NFC)', async (t) => {
    const [composed, decomposed] = ['josé@example.com', 'jose\u0301@example.com']
    const { status, body } = await signup(decomposed)
    t.match({ status, body }, { status: 200, body: { email: composed } })
    t.equal((await signup(composed)).status, 400)
    for (const spelled of [composed, decomposed, 'José@EXAMPLE.com'])
      t.equal((await signIn(spelled, password)).status, 200)
    for (const email of ['用户@例え.jp', 'почта@пример.рф', 'दूत@example.com'])
      t.equal((await signup(email)).status, 200, email)
  })

  await t.test('an address that the FastAPI template stored in Unicode still signs in', async (t) => {
    const [stored, ascii] = ['zoë@straße.example', 'zoë@xn--strae-oqa.example']
    const [user] = await rows<{ id: string }>(
      sql`insert into users (email, hashed_password, is_verified) values (${stored}, ${`cheap:${password}`}, true)
          returning id`,
    )
    for (const spelled of [stored, ascii, 'Zoë@STRAßE.example']) {
      t.equal((await signIn(spelled, password)).status, 200, spelled)
      t.equal((await signup(spelled)).status, 400, 'and nobody else’s')
      isAnswer(
        t,
        await call('POST', '/users/', { as: admin, body: { email: spelled, password } }),
        400,
        'The user with this email already exists in the system.',
      )
    }
    const bob = await service.person()
    for (const email of [stored, ascii]) {
      t.equal((await call('PATCH', '/users/me', { as: bob, body: { email } })).status, 409)
      t.equal((await call('PATCH', `/users/${bob.id}`, { as: admin, body: { email } })).status, 409)
    }
    await call('POST', `/password-recovery/${encodeURIComponent(ascii)}`)
    t.equal(await mailsTo(stored), 1)
    const zoe = await service.again({ id: user!.id, email: stored, password, token: '' })
    for (const email of [stored, ascii]) {
      const changes = { email, full_name: 'Zoë' }
      for (const { status, body } of [
        await call('PATCH', '/users/me', { as: zoe, body: changes }),
        await call('PATCH', `/users/${zoe.id}`, { as: admin, body: changes }),
      ])
        t.match({ status, body }, { status: 200, body: { email: stored, is_verified: true } })
    }
    t.equal(await mailsTo(stored), 1, 'nobody is told of a change that was none')
    const moved = await call('PATCH', '/users/me', { as: zoe, body: { email: 'zoë@example.com' } })
    t.match(moved, { status: 200, body: { email: 'zoë@example.com', is_verified: false } })
  })
})

/** Rows of another system, whose addresses nobody could sign up with. */
const carriedOver = ['info@exämple.com', `${'l'.repeat(65)}@example.com`, `${'ö'.repeat(65)}@exämple.org`]

void test('whoever has an odd address from another system', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { admin, call, rows, signIn, again } = service
  const add = async (email: string) => {
    const [user] = await rows<{ id: string }>(
      sql`insert into users (email, hashed_password, is_verified) values (${email}, ${`cheap:${password}`}, true)
          returning id`,
    )
    return again({ id: user!.id, email, password, token: '' })
  }
  for (const email of carriedOver)
    await t.test(`${email} signs in, recovers and is edited`, async (t) => {
      const user = await add(email)
      t.equal((await signIn(` ${email} `, password)).status, 200)
      const path = encodeURIComponent(` ${email}`)
      t.equal((await call('POST', `/password-recovery/${path}`)).status, 200)
      const mails = await rows(sql`select message from emails where recipient = ${email}`)
      t.strictSame(mails, [{ message: 'recovery' }])
      t.equal((await call('POST', `/password-recovery-html-content/${path}`, { as: admin })).status, 200)
      t.equal((await call('POST', '/verify-email/resend', { body: { email } })).status, 200)
      for (const [as, at] of [
        [user, '/users/me'],
        [admin, `/users/${user.id}`],
      ] as const) {
        const { status, body } = await call('PATCH', at, { as, body: { email, full_name: 'New' } })
        t.match({ status, body }, { status: 200, body: { email, full_name: 'New', is_verified: true } })
      }
      const moved = await call('PATCH', '/users/me', { as: user, body: { email: address() } })
      t.equal(moved.status, 200, 'and moves to another one')
    })

  await t.test(
    'an unchanged address passes a change whatever it looks like, and another does not',
    async (t) => {
      for (const email of ['no address', '"a b"@localhost', 'Ünder@EXAMPLE.com']) {
        const user = await add(email)
        for (const [as, at] of [
          [user, '/users/me'],
          [admin, `/users/${user.id}`],
        ] as const) {
          const kept = await call('PATCH', at, { as, body: { email, full_name: 'Kept' } })
          t.match(kept, { status: 200, body: { email, full_name: 'Kept', is_verified: true } })
          isRefused(t, await call('PATCH', at, { as, body: { email: 'no other address' } }), ['body.email'])
          isRefused(t, await call('PATCH', at, { as, body: { email: 'x'.repeat(256) } }), ['body.email'])
        }
      }
      const email = ' spaced@example.com '
      const [row] = await rows<{ id: string }>(
        sql`insert into users (email, hashed_password) values (${email}, '') returning id`,
      )
      const kept = await call('PATCH', `/users/${row!.id}`, { as: admin, body: { email } })
      t.match(kept, { status: 200, body: { email } })
      isRefused(
        t,
        await call('PATCH', `/users/${randomUUID()}`, { as: admin, body: { email: 'no address' } }),
        ['body.email'],
      )
    },
  )
})

void test('an unchanged odd address passes where a new one has to be confirmed, too', async (t) => {
  const service = await startService(t, { EMAIL_CHANGE: 'confirmed' })
  cheapHashing(service)
  const email = 'no address'
  const [user] = await service.rows<{ id: string }>(
    sql`insert into users (email, hashed_password) values (${email}, ${`cheap:${password}`}) returning id`,
  )
  const as = await service.again({ id: user!.id, email, password, token: '' })
  const { status, body } = await service.call('PATCH', '/users/me', { as, body: { email } })
  t.match({ status, body }, { status: 200, body: { email } })
})

void test('with required verification, sign-up does not reveal a known address in any spelling', async (t) => {
  const service = await startService(t, { EMAIL_VERIFICATION: 'required' })
  cheapHashing(service)
  await service.rows(
    sql`insert into users (email, hashed_password) values ('zoë@straße.example', 'cheap:whatever')`,
  )
  const signup = (email: string) => service.call('POST', '/users/signup', { body: { email, password } })
  for (const local of ['zoë', 'zoé'])
    t.match(await signup(`${local}@straße.example`), {
      status: 200,
      body: { email: `${local}@xn--strae-oqa.example`, is_verified: false },
    })
})

void test('mail to a local part in another script', async (t) => {
  const { server, log, queue, rowOf, until } = await startMailing(t)
  const email = encodeURIComponent('用户@例え.jp')
  const stored = '用户@xn--r8jz45g.jp'
  await t.test('mail to a local part in another script is sent if the server has SMTPUTF8', async (t) => {
    await until(/mail (sent|parked)/, () => queue(email))
    t.match(await rowOf(stored), { sent: true })
    t.match(server.mails.at(-1)?.envelope.to[0], /^用户@/)
  })
  await t.test('mail to a local part in another script is parked without SMTPUTF8, and why', async (t) => {
    const old = await startMailServer(t, { hideSMTPUTF8: true })
    const other = await collectingLogger()
    const service = await startService(t, old.env, { logger: other.logger })
    await service.call('POST', `/utils/test-email/?email_to=${email}`, { as: service.admin })
    await other.told(/mail (sent|parked)/, 1)
    const [row] = await service.rows<{ last_error: string }>(
      sql`select last_error from emails where parked_at is not null`,
    )
    t.match(row?.last_error, /SMTPUTF8/)
    t.strictSame(old.mails, [])

    await service.rows(sql`insert into emails (message, recipient) values ('test', 'info@exämple.com')`)
    service.app.mail.wake()
    await other.told(/mail (sent|parked)/, 2)
    t.match(old.mails, [{ envelope: { to: [/^info@/] } }], 'a domain alone needs none')
  })
  t.equal(log.count(/mail parked/), 0)
})
