import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { convert as htmlToText } from 'html-to-text'
import { test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { startMailServer } from '../support/mail-server.ts'
import { startWithoutData } from '../support/no-database.ts'
import { address, startService } from '../support/service.ts'

const LINK = /href="(https:\/\/app\.example\.com\/reset-password\?token=([\w.-]+))"/
const chosen = 'a password of my own'

void test('mails reach their reader', async (t) => {
  const server = await startMailServer(t)
  const { logger, told } = await collectingLogger()
  const settings = {
    PROJECT_NAME: 'Atlas & Söhne',
    EMAILS_FROM_NAME: 'Atlas, "the" Crew',
    FRONTEND_HOST: 'https://app.example.com/',
    TRUST_PROXY: '127.0.0.1',
    SUPPORT_EMAIL: 'help@example.com',
  }
  const service = await startService(t, { ...server.env, ...settings }, { logger })
  cheapHashing(service)
  const { admin, call, rows } = service
  let count = 0
  const next = async () => {
    const mail = (await server.arrived(++count)).at(-1)!
    await told(/mail sent/, count)
    return mail
  }

  await t.test('a welcome mail has a link to choose a password, and not the one that was set', async (t) => {
    const account = { email: address(), password: 'set by a superuser', full_name: 'Ada' }
    t.equal((await call('POST', '/users/', { as: admin, body: account })).status, 200)
    const mail = await next()
    t.same(mail.envelope.to, [account.email])
    t.notMatch(String(mail.html) + mail.text, account.password)
    const [, link = '', token = ''] = LINK.exec(String(mail.html)) ?? []
    t.equal(String(mail.html).indexOf(link), String(mail.html).indexOf('href="https') + 6, 'first as a link')
    t.ok(mail.text?.includes(link), 'in the text part too')
    for (const method of ['GET', 'HEAD'] as const)
      t.equal((await call(method, `/reset-password/?token=${token}`)).status, 405, 'looking uses nothing up')
    const body = { token, new_password: chosen }
    isAnswer(t, await call('POST', '/reset-password/', { body }), 200, {
      message: 'Password updated successfully',
    })
    isAnswer(t, await call('POST', '/reset-password/', { body }), 400, 'Invalid token', 'once')
    const notice = await next()
    t.same(notice.envelope.to, [account.email])
    t.match(notice.subject, /password.*changed/i, 'and is told of it')
    t.match(notice.text, 'from the network address 127.0.0.1')
    t.notMatch(notice.text, 'token=')
    t.equal((await service.signIn(account.email, chosen)).status, 200)
    t.equal((await service.signIn(account.email, account.password)).status, 400)
  })

  await t.test(
    'fault 18: a recovery link leads to the frontend, whatever host the request named',
    async (t) => {
      const person = await service.person()
      const headers = {
        host: 'evil.localhost',
        'x-forwarded-host': 'evil.example',
        forwarded: 'host=evil.example',
      }
      await call('POST', `/password-recovery/${person.email.toUpperCase()}`, { headers })
      const mail = await next()
      t.same(mail.envelope.to, [person.email], 'to the address as it was given at signup')
      t.notMatch(String(mail.html) + mail.text, 'evil.')
      const [, , token = ''] = LINK.exec(String(mail.html)) ?? []
      t.equal((await call('POST', '/reset-password/', { body: { token, new_password: chosen } })).status, 200)
      const { body: me } = await call('GET', '/users/me', {
        as: await service.again({ ...person, password: chosen }),
      })
      t.equal(me.is_verified, true, 'whoever reads mails to an address has it')
      t.match((await next()).subject, /password.*changed/i)
    },
  )

  await t.test('fault 6: a verification mail tells its reader how to take the account over', async (t) => {
    const email = address()
    const body = { email, password: 'chosen by somebody else' }
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    const { body: user } = await call('POST', '/users/signup', { body, headers })
    const mail = await next()
    t.same(mail.envelope.to, [email])
    const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })
    const made = `The account was created on ${date.format(new Date(user.created_at))} UTC, from the network address 203.0.113.7.`
    const advice =
      `If it was not you, do not confirm. To take over the account, reset the password for ${email} at Atlas & Söhne: ` +
      'whoever created the account is then signed out, and their password stops working.'
    const html = htmlToText(String(mail.html), { wordwrap: false })
    for (const part of [mail.text ?? '', html])
      for (const words of [made, advice]) t.ok(part.replace(/\s+/g, ' ').includes(words), words)

    // The reader follows that advice.
    const { body: theirs } = await service.signIn(email, body.password)
    await call('POST', `/password-recovery/${email}`)
    const [, , token = ''] = LINK.exec(String((await next()).html)) ?? []
    t.equal((await call('POST', '/reset-password/', { body: { token, new_password: chosen } })).status, 200)
    await next() // the notice of the new password
    t.equal((await service.signIn(email, body.password)).status, 400)
    const bearer = { headers: { authorization: `Bearer ${theirs.access_token}` } }
    t.equal((await call('GET', '/users/me', bearer)).status, 401)
    t.equal((await service.signIn(email, chosen)).status, 200)
  })

  await t.test('a notice names the device, links to a new password, and names a contact', async (t) => {
    const person = await service.person()
    const firefox = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' }
    const body = { current_password: person.password, new_password: chosen }
    await call('PATCH', '/users/me/password', { as: person, body, headers: firefox })
    const mail = await next()
    t.match(mail.text, 'from the network address 127.0.0.1, with Firefox on Linux.')
    for (const part of [mail.text, String(mail.html)]) {
      t.match(part, 'https://app.example.com/recover-password')
      t.match(part, 'help@example.com')
    }
  })

  await t.test('the text of a user agent does not get into a notice', async (t) => {
    const person = await service.person()
    const mallory = { 'user-agent': 'Your account is at risk: call +1 555 0100 or open https://evil.example' }
    const body = { current_password: person.password, new_password: chosen }
    await call('PATCH', '/users/me/password', { as: person, body, headers: mallory })
    const mail = await next()
    t.match(mail.text, 'with an unknown device')
    t.notMatch(String(mail.html) + mail.text, /evil|555/)
    await rows(sql`delete from emails where recipient = ${person.email}`)
  })

  await t.test('the mail about an ended session says which session it was', async (t) => {
    const person = await service.person()
    const form = { username: person.email, password: person.password }
    const curl = { 'user-agent': 'curl/8.5.0', 'x-forwarded-for': '198.51.100.24' }
    const { body: first } = await call('POST', '/login/access-token', { form, headers: curl })
    const refresh = (refresh_token: string) =>
      call('POST', '/login/refresh-token', { body: { refresh_token } })
    const { body: second } = await refresh(first.refresh_token)
    await refresh(second.refresh_token)
    t.equal((await refresh(first.refresh_token)).status, 401)
    const { text } = await next()
    t.match(
      text,
      /the saved sign-in of curl \(signed in on [^()]* from the network address 198\.51\.100\.24\)/,
    )
    t.match(text, 'from the network address 127.0.0.1, with an unknown device')
  })

  await t.test('each mail has the headers that mail servers look at', async (t) => {
    await call('POST', '/utils/test-email/?email_to=ops@example.com', { as: admin })
    const mail = await next()
    const [row] = await rows<{ id: string }>(sql`select id from emails where message = 'test'`)
    t.match(mail.subject, /^[^\r\n]*Atlas & Söhne/)
    t.same(mail.from?.value, [{ address: 'hello@example.com', name: settings.EMAILS_FROM_NAME }])
    t.equal(mail.envelope.from, 'hello@example.com')
    t.match(mail.to, { value: [{ address: 'ops@example.com' }], text: 'ops@example.com' })
    t.equal(mail.messageId, `<${row?.id}@example.com>`, 'the same however often it is sent')
    t.ok(Math.abs(Date.now() - (mail.date?.getTime() ?? 0)) < 60_000)
    t.equal(mail.headers.get('auto-submitted'), 'auto-generated', 'no program answers that somebody is away')
    t.equal(mail.headers.get('x-auto-response-suppress'), 'All', 'nor does Exchange')
    t.match(mail.text, /\S/)
    t.match(mail.html, /<html/)
    t.match(mail.headers.get('content-type'), { value: 'multipart/alternative' })
    t.same(mail.attachments, [])
  })

  await t.test('fault 17: an address with odd characters is one recipient', async (t) => {
    for (const odd of ["o'brien+a.b@example.com", '!#$%&*+/=?^_`{|}~-@example.com', 'A.B@EXAMPLE.com']) {
      await call('POST', `/utils/test-email/?email_to=${encodeURIComponent(odd)}`, { as: admin })
      const mail = await next()
      t.same(mail.envelope.to, [odd.replace('EXAMPLE', 'example')], 'only the domain may be lowered')
      t.match(mail.to, { value: { length: 1 } })
    }
  })

  await t.test('unknown addresses and inactive accounts get no recovery mail', async (t) => {
    const closed = await service.person()
    await rows(sql`update users set is_active = false where id = ${closed.id}`)
    const before = (await rows(sql`select from emails`)).length
    for (const email of [address(), closed.email])
      t.equal((await call('POST', `/password-recovery/${email}`)).status, 200)
    t.equal((await rows(sql`select from emails`)).length, before)
    t.equal(server.mails.length, count)
  })

  await t.test('stored mails and tokens contain nothing from which a link can be made', async (t) => {
    const [stored] = await rows<{ text: string }>(
      sql`select json_agg(e)::text || (select json_agg(o)::text from one_time_tokens o) as text from emails e`,
    )
    for (const { html } of server.mails) {
      const token = LINK.exec(String(html))?.[2]
      if (token) t.notMatch(stored?.text, token.split('.')[1])
    }
    t.notMatch(stored?.text, /https?:/)
  })
})

void test('without a frontend, links lead to the service itself', async (t) => {
  const cases: [env: Record<string, string>, base: string][] = [
    [{ PUBLIC_URL: 'https://api.example.com/base/' }, 'https://api.example.com/base'],
    [{ PORT: '8123' }, 'http://localhost:8123'],
    [
      { PUBLIC_URL: 'https://api.example.com', FRONTEND_HOST: 'http://localhost:5173' },
      'http://localhost:5173',
    ],
  ]
  for (const [env, base] of cases) {
    const app = await startWithoutData(t, env)
    for (const message of ['welcome', 'recovery'] as const) {
      const content = { message, recipient: 'a@b.co', token_id: randomUUID(), valid_until: new Date() }
      const { html, text } = await app.mail.compose(content)
      t.match(html, `href="${base}/reset-password?token=${content.token_id}.`)
      t.match(text, `${base}/reset-password?token=${content.token_id}.`)
    }
  }
})
