import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { InjectOptions } from 'light-my-request'
import { test } from 'tap'
import { limits, throttle } from '../../src/config/limits.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { type Answer, type Person, address, startService } from '../support/service.ts'

const NEW_PASSWORD = 'four words nobody guesses'
const DEAD = 'This link no longer works'

void test('pages of mailed links', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, admin, call, rows, signIn, resetToken } = service
  const get = (url: string, more: InjectOptions = {}) => ask(app, { url, ...more })
  const open = (path: string, token: string) => get(`${path}?token=${token}`)
  /** Sends a form as a browser does. */
  const send = (url: string, fields: Record<string, string>, more: InjectOptions = {}) =>
    ask(app, {
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' },
      payload: new URLSearchParams(fields).toString(),
      ...more,
    })
  /** Signs up, and gives the token that is mailed. */
  async function signUp() {
    const email = address()
    await call('POST', '/users/signup', { body: { email, password: 'correct horse battery' } })
    const [token] = await rows<{ id: string }>(sql`select id from one_time_tokens where email = ${email}`)
    return { email, token: app.auth.oneTimeTokens.sign('verify_email', token?.id ?? '') }
  }
  /** Somebody with a verified address who changes it, and the token that is mailed to the address before. */
  async function changeAddress() {
    const ada = await service.person()
    await rows(sql`update users set is_verified = true where id = ${ada.id}`)
    const changed = address()
    await call('PATCH', '/users/me', { as: ada, body: { email: changed } })
    const [mail] = await rows<{ token_id: string }>(
      sql`select token_id from emails where recipient = ${ada.email} and message = 'own_address_changed'`,
    )
    return { ada, changed, token: app.auth.oneTimeTokens.sign('undo_email_change', mail?.token_id ?? '') }
  }
  const emailOf = async ({ id }: Person) =>
    (await rows<{ email: string }>(sql`select email from users where id = ${id}`))[0]?.email
  const isVerified = async (email: string) =>
    (await rows<{ is_verified: boolean }>(sql`select is_verified from users where email = ${email}`))[0]
      ?.is_verified

  await t.test('the link of a recovery leads to a form, which sets the password', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    const page = await open('/reset-password', token)
    t.equal(page.status, 200)
    t.match(page.text, `<input type="hidden" name="token" value="${token}" />`)
    t.match(page.text, /<label for="new_password">/)
    t.match(page.text, /autocomplete="new-password"/, 'password managers offer one')
    t.notMatch(page.text, /aria-invalid=/)

    const done = await send('/reset-password?', { token, new_password: NEW_PASSWORD })
    t.equal(done.status, 200)
    t.match(done.text, 'Your password was changed')
    t.equal((await signIn(ada.email, NEW_PASSWORD)).status, 200)
    t.equal((await call('GET', '/users/me', { as: ada })).status, 401, 'as with the API, sessions end')
    t.equal(await isVerified(ada.email), true)
    const notices = sql`select 1 from emails where recipient = ${ada.email} and message = 'password_changed'`
    t.equal((await rows(notices)).length, 1, 'and the notice is mailed')

    for (const again of [
      await send('/reset-password', { token, new_password: NEW_PASSWORD }),
      await open('/reset-password', token),
    ]) {
      t.equal(again.status, 400, 'once')
      t.match(again.text, DEAD)
      t.notMatch(again.text, '<form')
    }
  })

  await t.test('the link of a signup leads to a button, which verifies the address', async (t) => {
    const { email, token } = await signUp()
    const page = await open('/verify-email/', token)
    t.equal(page.status, 200)
    t.match(page.text, '<button>Confirm address</button>')
    t.equal(await isVerified(email), false)
    const done = await send('/verify-email', { token })
    t.equal(done.status, 200)
    t.match(done.text, 'Your address is confirmed')
    t.equal(await isVerified(email), true)
    const again = await send('/verify-email', { token })
    t.equal(again.status, 400)
    t.match(again.text, /If you confirmed your address before, there is nothing to do/)
  })

  await t.test('the link to the address before leads to a button, which restores it', async (t) => {
    const { ada, token } = await changeAddress()
    const page = await open('/undo-email-change', token)
    t.equal(page.status, 200)
    t.match(page.text, `the address <strong>${ada.email}</strong> back`)
    t.match(page.text, `<input type="hidden" name="token" value="${token}" />`)
    t.match(page.text, '<button>Restore address</button>')

    const done = await send('/undo-email-change?', { token })
    t.equal(done.status, 200)
    t.match(done.text, `<strong>${ada.email}</strong> is the address of your account again`)
    t.match(done.text, 'href="/inbox"', 'where the link to a new password is')
    t.equal(await emailOf(ada), ada.email)
    t.equal((await call('GET', '/users/me', { as: ada })).status, 401, 'as with the API, sessions end')
    isAnswer(t, await signIn(ada.email, ada.password), 400, 'Incorrect email or password')
    const mailed = sql`select message from emails where recipient = ${ada.email} order by message`
    t.strictSame(await rows(mailed), [{ message: 'address_restored' }, { message: 'own_address_changed' }])
  })

  await t.test('a change of address can be taken back once', async (t) => {
    const { token } = await changeAddress()
    await send('/undo-email-change', { token })
    for (const again of [
      await send('/undo-email-change', { token }),
      await open('/undo-email-change', token),
    ]) {
      t.equal(again.status, 400)
      t.match(again.text, DEAD)
      t.notMatch(again.text, '<form')
    }
  })

  await t.test('the reset form names the account, so that password managers store it', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    const field = `<input id="username" name="username" value="${ada.email}" autocomplete="username" readonly />`
    t.match((await open('/reset-password', token)).text, field)
    const refused = await send('/reset-password', {
      token,
      new_password: 'short',
      username: 'eve@example.com',
    })
    t.match(refused.text, field, 'after a password that is refused, too, whatever was sent')
    t.notMatch(refused.text, 'eve@')
    const done = await send('/reset-password', { token, new_password: NEW_PASSWORD })
    t.match(done.text, `Sign in to <strong>${ada.email}</strong>`)
  })

  await t.test('the verification page names the address before and after it is confirmed', async (t) => {
    const { email, token } = await signUp()
    t.match((await open('/verify-email', token)).text, `the address <strong>${email}</strong>`)
    t.match((await send('/verify-email', { token })).text, `<strong>${email}</strong> is the address`)
  })

  await t.test('a finished reset or verification links to sign-in', async (t) => {
    const token = await resetToken((await service.person()).email)
    const done = await send('/reset-password', { token, new_password: NEW_PASSWORD })
    t.match(done.text, 'href="/docs">Go on to sign in</a>')
    const { token: verify } = await signUp()
    t.match((await send('/verify-email', { token: verify })).text, 'href="/docs">Go on to sign in</a>')
  })

  await t.test('a dead link leads to the form that sends a new one', async (t) => {
    t.match(
      (await open('/reset-password', 'nonsense')).text,
      'href="/recover-password">Ask for a new link</a>',
    )
    t.match(
      (await open('/verify-email', 'nonsense')).text,
      'href="/verify-email/resend">Ask for another mail',
    )
  })

  await t.test('a form asks for another recovery link, and mails it', async (t) => {
    const ada = await service.person()
    t.match((await get('/recover-password')).text, /<label for="email">/)
    const page = await send('/recover-password', { email: ` ${ada.email.toUpperCase()} ` })
    t.equal(page.status, 200)
    t.match(page.text, /we sent it a link to choose a new password/)
    t.match(page.text, 'href="/inbox"')
    const mailed = sql`select message from emails where recipient = ${ada.email}`
    t.strictSame(await rows(mailed), [{ message: 'recovery' }])
  })

  await t.test('a form asks for another verification link, and mails it', async (t) => {
    const { email } = await signUp()
    const page = await send('/verify-email/resend', { email })
    t.equal(page.status, 200)
    t.match(page.text, /it is not confirmed yet, we sent it a link/)
    const mailed = sql`select message from emails where recipient = ${email}`
    t.strictSame(await rows(mailed), [{ message: 'verification' }, { message: 'verification' }])
  })

  await t.test('asking for a link is answered alike for known and unknown addresses', async (t) => {
    const known = (await service.person()).email
    for (const url of ['/recover-password', '/verify-email/resend']) {
      const answers = [await send(url, { email: known }), await send(url, { email: address() })]
      t.equal(answers[0]?.text, answers[1]?.text, url)
      t.same(
        answers.map(({ status }) => status),
        [200, 200],
      )
    }
  })

  await t.test('a malformed address is explained beside its field, and can be corrected', async (t) => {
    for (const fields of [{ email: 'ada@"' }, {}])
      for (const url of ['/recover-password', '/verify-email/resend']) {
        const { status, text } = await send(url, fields)
        t.equal(status, 422)
        t.match(text, /<p class="error" id="error" role="alert">Enter an email address/)
        t.match(text, `value="${'email' in fields ? 'ada@&quot;' : ''}"`)
      }
  })

  await t.test('fault 7: GET, HEAD and OPTIONS of a link do not use it up', async (t) => {
    const ada = await service.person()
    const { token: verify } = await signUp()
    const reset = await resetToken(ada.email)
    const state = () => rows(sql`select id, expires_at from one_time_tokens order by id`)
    const before = await state()
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const)
      for (const url of [`/reset-password?token=${reset}`, `/verify-email?token=${verify}`])
        for (let time = 0; time < 3; time += 1) await get(url, { method })
    t.strictSame(await state(), before)
    t.equal((await send('/verify-email', { token: verify })).status, 200)
    t.equal((await send('/reset-password', { token: reset, new_password: NEW_PASSWORD })).status, 200)
  })

  await t.test('fault 7: GET, HEAD and OPTIONS of a link do not take a change of address back', async (t) => {
    const { ada, changed, token } = await changeAddress()
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const)
      for (let time = 0; time < 3; time += 1) await get(`/undo-email-change?token=${token}`, { method })
    t.equal(await emailOf(ada), changed)
    t.equal((await call('GET', '/users/me', { as: ada })).status, 200, 'nobody is signed out')
    t.equal((await send('/undo-email-change', { token })).status, 200)
    t.equal(await emailOf(ada), ada.email)
  })

  await t.test(
    'a password that is refused is explained beside its field, and the link stays good',
    async (t) => {
      const ada = await service.person()
      const token = await resetToken(ada.email)
      const refused: Record<string, [password: string, says: RegExp]> = {
        'too short': ['1234567', /too short. Use 8 characters or more/],
        nothing: ['', /too short/],
        'too long': ['🦊'.repeat(129), /too long. Use 128 characters at most/],
        common: ['password123', /among the most common ones/],
        'not text': ['abcdefgh\0', /can’t be used/],
      }
      for (const [how, [new_password, says]] of Object.entries(refused)) {
        const { status, text } = await send('/reset-password', { token, new_password })
        t.equal(status, 422, how)
        t.match(text, new RegExp(`<p class="error" id="error" role="alert">[^<]*${says.source}`), how)
        t.match(text, /aria-describedby="error hint"\s+aria-invalid="true"/, 'assistive technology tells it')
        t.match(text, /<title>Error: /)
        t.match(text, `value="${token}"`, 'another try needs no other mail')
        if (new_password) t.notOk(text.includes(new_password), 'it is not repeated')
      }
      const missing = await send('/reset-password', { token })
      t.match(missing.text, 'Enter a password.')
      t.equal((await send('/reset-password', { token, new_password: NEW_PASSWORD })).status, 200)
    },
  )

  await t.test('malformed, expired and wrong links say how to get another', async (t) => {
    const ada = await service.person()
    const { token: verify } = await signUp()
    const reset = await resetToken(ada.email)
    const expired = await resetToken((await service.person()).email)
    await rows(
      sql`update one_time_tokens set expires_at = now() - interval '1 s' where id = ${expired.split('.')[0]}`,
    )
    const dead = ['', 'nonsense', `${reset}x`, verify, expired, ada.token, '%00', '"><script>']
    for (const token of dead) {
      for (const page of [
        await open('/reset-password', encodeURIComponent(token)),
        await send('/reset-password', { token, new_password: NEW_PASSWORD }),
      ]) {
        t.ok([400, 422].includes(page.status), `${page.status} ${token}`)
        t.match(page.text, DEAD)
        t.match(page.text, /Ask for a password recovery again/)
        t.notMatch(page.text, '<script>')
      }
    }
    for (const token of ['', 'nonsense', reset, ada.token])
      for (const page of [await open('/verify-email', token), await send('/verify-email', { token })]) {
        t.equal(page.status, 400)
        t.match(page.text, /ask for another mail/)
      }
    for (const url of [
      '/reset-password',
      '/verify-email',
      '/verify-email?token=a&token=b',
      '/reset-password?token=a&token=b',
    ])
      t.match((await get(url)).text, DEAD, url)
    for (const url of ['/reset-password', '/verify-email']) t.match((await send(url, {})).text, DEAD, url)
  })

  await t.test('links that take nothing back say how long one works', async (t) => {
    const { ada, changed, token } = await changeAddress()
    const reset = await resetToken(changed)
    const expired = await changeAddress()
    await rows(sql`update address_changes set expires_at = now() where user_id = ${expired.ada.id}`)
    for (const dead of ['', 'nonsense', `${token}x`, reset, expired.token, ada.token, '%00', '"><script>'])
      for (const page of [
        await open('/undo-email-change', encodeURIComponent(dead)),
        await send('/undo-email-change', { token: dead }),
      ]) {
        t.equal(page.status, 400, dead)
        t.match(page.text, DEAD)
        t.match(page.text, 'can be taken back for three days, and once')
        t.notMatch(page.text, '<script>')
      }
    t.match((await get('/undo-email-change?token=a&token=b')).text, DEAD)
    t.match((await send('/undo-email-change', {})).text, DEAD)
    t.equal(await emailOf(ada), changed)
    t.equal(await emailOf(expired.ada), expired.changed)
  })

  await t.test('an address that another account has by now is not restored', async (t) => {
    const { ada, changed, token } = await changeAddress()
    await service.person({ email: ada.email })
    const page = await send('/undo-email-change', { token })
    t.equal(page.status, 409)
    t.match(page.text, '<h1>This address is in use</h1>')
    t.equal(await emailOf(ada), changed)
  })

  await t.test('a changed address of a deactivated account is not restored', async (t) => {
    const { ada, changed, token } = await changeAddress()
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active: false } })
    for (const page of [
      await open('/undo-email-change', token),
      await send('/undo-email-change', { token }),
    ]) {
      t.equal(page.status, 400)
      t.match(page.text, 'This account is deactivated')
    }
    t.equal(await emailOf(ada), changed)
  })

  await t.test('a link of a deactivated account says that the account is deactivated', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active: false } })
    for (const page of [
      await open('/reset-password', token),
      await send('/reset-password', { token, new_password: NEW_PASSWORD }),
    ]) {
      t.equal(page.status, 400)
      t.match(page.text, 'This account is deactivated')
    }
  })

  await t.test('the reset form has one script, whose hash is in the CSP', async (t) => {
    const token = await resetToken((await service.person()).email)
    for (const { headers, text } of [
      await open('/reset-password', token),
      await send('/reset-password', { token, new_password: 'short' }),
    ]) {
      const scripts = [...text.matchAll(/<script>([^]*?)<\/script>/g)].map(([, script]) => script ?? '')
      const hashes = scripts.map((script) => createHash('sha256').update(script).digest('base64'))
      t.equal(hashes.length, 1)
      t.match(
        headers['content-security-policy'],
        new RegExp(`^default-src 'none';style-src 'sha256-[^']+';form-action 'self';base-uri 'none';`),
      )
      t.ok(String(headers['content-security-policy']).endsWith(`;script-src 'sha256-${hashes[0]}'`))
      t.notMatch(text, /<script |\ssrc=|\son\w+=|https?:/i, 'nothing else runs, and nothing is loaded')
      t.match(text, /<button type="button" class="quiet" id="show_password" hidden>/, 'there without it: no')
    }
  })

  await t.test('the reset page is no-store and no-referrer, so that its token does not leak', async (t) => {
    const token = await resetToken((await service.person()).email)
    for (const { headers } of [
      await open('/reset-password', token),
      await send('/reset-password', { token, new_password: 'short' }),
    ]) {
      t.equal(headers['cache-control'], 'no-store')
      t.equal(headers['referrer-policy'], 'no-referrer')
    }
  })

  await t.test('pages other than the reset form have no script, and a CSP that allows none', async (t) => {
    const token = await resetToken((await service.person()).email)
    const pages = [
      await open('/verify-email', (await signUp()).token),
      await open('/undo-email-change', (await changeAddress()).token),
      await open('/reset-password', 'nonsense'),
      await send('/reset-password', { token, new_password: NEW_PASSWORD }),
      await get('/recover-password'),
      await send('/recover-password', { email: 'nobody' }),
    ]
    for (const { headers, text } of pages) {
      t.match(headers['content-type'], /^text\/html; charset=utf-8$/)
      t.equal(headers['cache-control'], 'no-store')
      t.equal(headers['referrer-policy'], 'no-referrer')
      t.match(
        headers['content-security-policy'],
        /^default-src 'none';style-src 'sha256-[^']+';form-action 'self';base-uri 'none';frame-ancestors 'none'$/,
      )
      t.notMatch(text, /<script|\ssrc=|\son\w+=|https?:/i)
      t.match(text, '<html lang="en">')
    }
  })

  await t.test('pages accept URL-encoded forms only: another type is 415', async (t) => {
    const token = await resetToken((await service.person()).email)
    for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x']) {
      const payload = JSON.stringify({ token, new_password: NEW_PASSWORD })
      const page = await send('/reset-password', {}, { headers: { 'content-type': type }, payload })
      t.equal(page.status, 415, type)
    }
    isAnswer(t, await get('/reset-password', { method: 'DELETE' }), 405, 'Method Not Allowed')
    t.equal((await open('/reset-password', token)).status, 200)
  })

  await t.test('while the service is busy, the reset page is 503 and can be sent again', async (t) => {
    const token = await resetToken((await service.person()).email)
    const { hash } = app.auth.passwords
    app.auth.passwords.hash = () => Promise.reject(Object.assign(new Error('busy'), { code: '53300' }))
    const page = await send('/reset-password', { token, new_password: NEW_PASSWORD })
    app.auth.passwords.hash = hash
    t.equal(page.status, 503)
    t.equal(page.headers['retry-after'], '1')
    t.match(page.text, 'The service is busy. Wait a moment, and try again.')
    t.match(page.text, `value="${token}"`)
  })

  await t.test('while the service is busy, the page of a changed address can be sent again', async (t) => {
    const { ada, token } = await changeAddress()
    const { run } = app.db
    app.db.run = () => Promise.reject(Object.assign(new Error('busy'), { code: '53300' }))
    const pages = [await open('/undo-email-change', token), await send('/undo-email-change', { token })]
    app.db.run = run
    for (const page of pages) {
      t.equal(page.status, 503)
      t.equal(page.headers['retry-after'], '1')
      t.match(page.text, 'The service is busy. Wait a moment, and try again.')
      t.match(page.text, `value="${token}"`)
      t.notMatch(page.text, ada.email, 'the service may not know whose account it is')
    }
    t.equal((await send('/undo-email-change', { token })).status, 200)
  })
})

void test('a page over the rate limit is 429 and says to wait, not that the link is dead', async (t) => {
  for (const url of ['/reset-password', '/verify-email', '/undo-email-change']) {
    const app = await startWithoutData(t, { RATE_LIMIT_ENABLED: 'true' })
    /** Sends requests until one is 429, as the burst refills meanwhile. */
    async function exhaust(request: InjectOptions): Promise<Answer> {
      for (let round = 0; round < 100; round++) {
        const pages = await Promise.all(Array.from({ length: throttle.burst / 10 }, () => ask(app, request)))
        const refused = pages.find(({ status }) => status === 429)
        for (const page of pages) if (page.status !== 429) t.match(page.text, DEAD)
        if (refused) return refused
      }
      throw new Error('never refused')
    }
    const page = await exhaust({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'token=x&new_password=four+words',
    })
    t.match(page.headers['retry-after'], /^[1-9]\d*$/)
    t.match(page.headers['content-type'], /^text\/html/)
    t.match(page.headers['content-security-policy'], /^default-src 'none'/)
    t.match(page.text, 'There were too many tries. Wait a moment, and try again.')
    t.match(page.text, /<h1>Wait a moment<\/h1>/)
    t.notMatch(page.text, DEAD)
    const opened = await exhaust({ url: `${url}?token=x` })
    t.match(opened.text, 'value="x"', 'who opens the link can send the form in a moment')
  }
})

void test('an internal error is a page without details', async (t) => {
  const app = await startWithoutData(t, {}, noDatabase())
  const { oneTimeTokens } = app.auth
  const broken = () => Promise.reject(new Error('secret inside'))
  oneTimeTokens.find = broken
  oneTimeTokens.open = () => {
    throw new Error('secret inside')
  }
  for (const url of ['/reset-password?token=x', '/verify-email?token=x', '/undo-email-change?token=x']) {
    const { status, text } = await ask(app, { url })
    t.equal(status, 500)
    t.match(text, 'Something went wrong')
    t.notMatch(text, 'secret')
  }
})

void test('the pages are 404 with FRONTEND_HOST or with mail off', async (t) => {
  const smtp = { SMTP_HOST: '127.0.0.1', SMTP_PORT: '1', EMAILS_FROM_EMAIL: 'hello@example.com' }
  const outside = {
    ENVIRONMENT: 'production',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
    PUBLIC_URL: 'https://api.example.com',
  }
  const paths = [
    '/reset-password',
    '/verify-email',
    '/undo-email-change',
    '/recover-password',
    '/verify-email/resend',
  ]
  const status = async (env: Record<string, string>) => {
    const app = await startWithoutData(t, env)
    const answers = await Promise.all(paths.map((url) => ask(app, { url })))
    return answers.map((answer) => answer.status).join()
  }
  t.equal(await status({ ...outside, ...smtp }), '400,400,400,200,200', 'in production too')
  t.equal(
    await status({ ...outside, ...smtp, FRONTEND_HOST: 'https://app.example.com' }),
    '404,404,404,404,404',
  )
  t.equal(await status(outside), '404,404,404,404,404', 'without mail')
  t.equal(await status({ FRONTEND_HOST: 'http://localhost:5173' }), '404,404,404,404,404')
})

void test('a form over the mail limit is 429 and keeps the address that was typed', async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'true' })
  const request = {
    method: 'POST',
    url: '/recover-password',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: 'email=ada%40example.com',
  } as const
  const pages = await Promise.all(
    Array.from({ length: limits.mail_network.burst + 1 }, () => ask(service.app, request)),
  )
  const refused = pages.filter(({ status }) => status === 429)
  t.equal(refused.length, 1)
  t.match(refused[0]?.text, 'There were too many tries. Wait a moment, and try again.')
  t.match(refused[0]?.text, 'value="ada@example.com"')
})

void test('settings of the pages', async (t) => {
  const pageOf = async (env: Record<string, string>) =>
    ask(await startWithoutData(t, env), { url: '/reset-password?token=x' })

  await t.test('PROJECT_LOGO_URL is shown, and its origin alone is in img-src of the CSP', async (t) => {
    const PROJECT_LOGO_URL = 'https://cdn.example.com/a/logo.png?v=2&w="3"'
    const { headers, text } = await pageOf({ PROJECT_LOGO_URL, PROJECT_NAME: 'Atlas' })
    t.match(text, '<img src="https://cdn.example.com/a/logo.png?v=2&amp;w=&quot;3&quot;" alt="Atlas"')
    t.match(headers['content-security-policy'], /;img-src https:\/\/cdn\.example\.com$/)
    t.notMatch((await pageOf({})).headers['content-security-policy'], 'img-src')
  })

  await t.test('PROJECT_COLOR is the accent colour, and the CSP has the hash of the styles', async (t) => {
    const { headers, text } = await pageOf({ PROJECT_COLOR: '#7A1FA2' })
    t.match(text, '--accent: #7a1fa2;')
    const style = /<style>([^]*)<\/style>/.exec(text)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    t.ok(String(headers['content-security-policy']).includes(`style-src 'sha256-${hash}'`))
  })

  await t.test('SUPPORT_EMAIL is linked on the pages', async (t) => {
    const { text } = await pageOf({ SUPPORT_EMAIL: 'help+a&b@example.com' })
    t.match(text, '<a href="mailto:help%2Ba%26b@example.com">help+a&amp;b@example.com</a>')
    t.notMatch((await pageOf({})).text, 'mailto:')
  })

  await t.test('outside local, a finished reset does not link to Swagger UI', async (t) => {
    const service = await startService(t, {
      ENVIRONMENT: 'staging',
      DATABASE_URL: 'postgres://127.0.0.1/unused',
      FIRST_SUPERUSER_PASSWORD: 'a password of its own',
      PUBLIC_URL: 'https://api.example.com',
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: '1',
      EMAILS_FROM_EMAIL: 'hello@example.com',
    })
    cheapHashing(service)
    const token = await service.resetToken(service.admin.email)
    const { text } = await ask(service.app, {
      method: 'POST',
      url: '/reset-password',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ token, new_password: NEW_PASSWORD }).toString(),
    })
    t.match(text, 'You can close this page, and sign in where you use Groundwork.')
    t.notMatch(text, '/docs')
  })
})
