import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { faultsBody } from '../support/errors.ts'
import { address, startService } from '../support/service.ts'

const ASKED = { message: 'If that email is registered, we sent a password recovery link' }
const CONTENT = '/password-recovery-html-content'

void test('recovery', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, signIn, rows, admin, resetToken } = service
  const ada = await service.person({ email: `Ada.${address()}` })
  const mailsTo = async (email: string) =>
    rows<{ message: string; recipient: string; params: object }>(
      sql`select message, recipient, params from emails where lower(recipient) = lower(${email})
        order by created_at, id`,
    )

  await t.test('recovery is answered alike for any address, and mails only active accounts', async (t) => {
    const inactive = await service.person()
    await call('PATCH', `/users/${inactive.id}`, { as: admin, body: { is_active: false } })
    const stranger = address()
    const asked = [ada.email, ada.email.toUpperCase(), inactive.email, stranger]
    const answers = await Promise.all(asked.map((email) => call('POST', `/password-recovery/${email}`)))
    for (const answer of answers) {
      isAnswer(t, answer, 200, ASKED)
      t.strictSame(Object.keys(answer.headers), Object.keys(answers[0]!.headers))
    }
    isAnswer(t, await call('POST', `/password-recovery/${encodeURIComponent(ada.email)}/`), 200, ASKED)

    const mail = { message: 'recovery', recipient: ada.email, params: {} }
    t.strictSame(await mailsTo(ada.email), [mail, mail, mail], 'to the address that the account has')
    t.strictSame(await mailsTo(inactive.email), [], 'an inactive account has no way back in')
    t.strictSame(await mailsTo(stranger), [])
  })

  await t.test('recovery for a malformed address is 422', async (t) => {
    for (const path of ['/password-recovery', CONTENT]) {
      for (const email of ['ada', 'ada@', `${'a'.repeat(64)}@${'b'.repeat(60)}.${'c.'.repeat(70)}com`])
        isRefused(t, await call('POST', `${path}/${email}`, { as: admin }), ['path.email'], email)
    }
    isAnswer(
      t,
      await call('POST', '/password-recovery/ada'),
      422,
      faultsBody({ type: 'value_error', loc: ['path', 'email'], msg: 'Value is not a valid email address' }),
    )
  })

  await t.test('a superuser can view a recovery mail with a working link, without sending it', async (t) => {
    const path = `${CONTENT}/${ada.email.toUpperCase()}`
    asksForToken(t, await call('POST', path))
    isAnswer(t, await call('POST', path, { as: ada }), 403, "The user doesn't have enough privileges")
    const unknown = await call('POST', `${CONTENT}/${address()}`, { as: admin })
    isAnswer(t, unknown, 404, 'The user with this username does not exist in the system.')

    const before = (await mailsTo(ada.email)).length
    const { status, headers, text } = await call('POST', path, { as: admin })
    t.equal(status, 200)
    t.match(headers['content-type'], /^text\/html\b/)
    t.equal(headers['cache-control'], 'no-store', 'the link is a secret')
    const sent = (await mailsTo(ada.email)).slice(before)
    t.match(
      JSON.stringify(sent),
      /^\[[^\]]*recovery_link_shown[^\]]*\]$/,
      'it is not sent, and its owner is told of it',
    )
    t.equal(sent.length, 1)
    const link = /href="(http:\/\/localhost:8000\/reset-password\?token=[^"&]+)"/.exec(text)?.[1] ?? ''
    const token = new URL(link).searchParams.get('token')
    const new_password = 'a horse that works'
    t.equal((await call('POST', '/reset-password/', { body: { token, new_password } })).status, 200)
  })

  await t.test('a reset changes the password and verifies the address', async (t) => {
    const bob = await service.person()
    const token = await resetToken(bob.email)
    const new_password = 'another horse battery'
    const done = await call('POST', '/reset-password', { body: { token, new_password, is_superuser: true } })
    isAnswer(t, done, 200, { message: 'Password updated successfully' })
    t.equal((await signIn(bob.email, bob.password)).status, 400, 'the old one is gone')
    const again = await service.again({ ...bob, password: new_password })
    const { body } = await call('GET', '/users/me', { as: again })
    t.match(body, { id: bob.id, is_verified: true, is_superuser: false })
  })

  await t.test('a reset with a bad token, inactive user or invalid password says why', async (t) => {
    const reset = (body: unknown) => call('POST', '/reset-password/', { body })
    const new_password = 'another horse battery'
    isAnswer(t, await reset({ token: 'nonsense', new_password }), 400, 'Invalid token')
    isAnswer(t, await reset({ token: '', new_password }), 400, 'Invalid token')
    isAnswer(t, await reset({ token: ada.token, new_password }), 400, 'Invalid token', 'an access token')

    const bob = await service.person()
    const token = await resetToken(bob.email)
    await call('PATCH', `/users/${bob.id}`, { as: admin, body: { is_active: false } })
    isAnswer(t, await reset({ token, new_password }), 400, 'Inactive user')

    isRefused(t, await reset({}), ['body.token', 'body.new_password'])
    isRefused(t, await reset({ token: 5, new_password: null }), ['body.token', 'body.new_password'])
    isRefused(t, await reset({ token: 'a\0', new_password }), ['body.token'])
    isAnswer(
      t,
      await reset({ token: 'nonsense', new_password: '1234567' }),
      422,
      faultsBody({
        type: 'string_too_short',
        loc: ['body', 'new_password'],
        msg: 'String should have at least 8 characters',
      }),
    )
    const long = await reset({ token, new_password: '🦊'.repeat(129) })
    isRefused(t, long, ['body.new_password'], '129 code points')
  })
})
