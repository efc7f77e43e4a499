import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import type { InjectOptions } from 'light-my-request'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { address, startService } from '../support/service.ts'

const HOST = 'localhost:8000'

void test('the inbox of a local service', async (t) => {
  const service = await startService(t, { PROJECT_NAME: 'Tom & <Co>' })
  cheapHashing(service)
  const { app, admin, call, rows } = service
  const get = (url: string, more: InjectOptions = {}) => ask(app, { url, headers: { host: HOST }, ...more })
  const policyOf = ({ headers }: Awaited<ReturnType<typeof get>>) =>
    String(headers['content-security-policy'])
  const newest = async () => /\/inbox\/[0-9a-f-]{36}/.exec((await get('/inbox')).text)?.[0] ?? ''
  const recover = (email: string) => call('POST', `/password-recovery/${email}`)
  const linkIn = (text: string) =>
    /href="(http:\/\/localhost:8000\/reset-password\?token=[^"]+)"/.exec(text)?.[1]

  await t.test('an empty inbox says so', async (t) => {
    const { status, headers, text } = await get('/inbox')
    t.equal(status, 200)
    t.match(headers['content-type'], /^text\/html/)
    t.match(text, 'Nothing was sent yet')
    t.match(text, 'Tom &amp; &lt;Co&gt;', 'names are text')
  })

  await t.test('the newest mail stands first', async (t) => {
    const [first, second] = [address(), address()]
    for (const email of [first, second])
      await call('POST', `/utils/test-email/?email_to=${email}`, { as: admin })
    const { text } = await get('/inbox')
    t.ok(text.indexOf(second) > 0 && text.indexOf(second) < text.indexOf(first))
    t.equal((await get('/inbox/')).text, text)
    t.match(text, 'Test email from Tom &amp; &lt;Co&gt;')
  })

  await t.test('a mail shows its headers, both parts, and a link that works', async (t) => {
    const ada = await service.person()
    await recover(ada.email)
    const path = await newest()
    const mail = await get(path)
    t.equal(mail.status, 200)
    const id = path.split('/')[2]
    for (const told of [
      ada.email,
      `&lt;${id}@localhost&gt;`,
      'Reset your password for Tom',
      '&lt;noreply@localhost&gt;',
    ])
      t.match(mail.text, told)
    t.match(mail.text, `src="${path}/html"`)
    t.match(mail.text, /sandbox="allow-popups allow-popups-to-escape-sandbox"/, 'scripts and forms stay off')

    const part = await get(`${path}/html`)
    t.equal(part.status, 200)
    t.match(part.text, '<base target="_blank">', 'links do not open in the frame')
    t.match(linkIn(part.text), /token=./)
    t.equal(linkIn(part.text), linkIn(mail.text), 'in the text part too')

    const token = new URL(linkIn(mail.text) ?? '').searchParams.get('token')
    const done = await call('POST', '/reset-password/', {
      body: { token, new_password: 'one more long one' },
    })
    t.equal(done.status, 200)
    const dead = await get(path)
    t.equal(dead.status, 200)
    t.match(dead.text, /Its link was used or revoked, or has expired/)
    t.match(dead.text, 'Reset your password for Tom', 'it still says which mail it was')
    t.match((await get('/inbox')).text, 'its link no longer works')
  })

  await t.test('a mail whose link was used is kept, without the link', async (t) => {
    const ada = await service.person()
    await recover(ada.email)
    const path = await newest()
    const token = new URL(linkIn((await get(path)).text) ?? '').searchParams.get('token')
    await call('POST', '/reset-password/', { body: { token, new_password: 'one more long one' } })
    const [page, part] = [await get(path), await get(`${path}/html`)]
    t.equal(part.status, 200)
    for (const { text } of [page, part]) {
      t.match(text, '[this link no longer works]')
      t.match(text, `Someone asked to reset the password for ${ada.email}`)
      t.notMatch(text, /token=|href="http/, 'nothing to press')
    }
  })

  await t.test('mails are found by recipient and by subject, whatever the case', async (t) => {
    const ada = await service.person()
    const grace = address()
    await recover(ada.email)
    await call('POST', `/utils/test-email/?email_to=${grace}`, { as: admin })
    const search = async (q: string) => (await get(`/inbox?q=${encodeURIComponent(q)}`)).text
    for (const q of [grace, grace.toUpperCase(), grace.slice(4, 30)]) {
      const found = await search(q)
      t.match(found, `to ${grace}`, q)
      t.notMatch(found, ada.email)
    }
    const resets = await search('RESET YOUR')
    t.match(resets, `to ${ada.email}`)
    t.notMatch(resets, grace)
    const nothing = await search('"nobody"%_')
    t.match(nothing, 'No recipient or subject has “&quot;nobody&quot;%_”')
    t.match(nothing, 'value="&quot;nobody&quot;%_"')
  })

  await t.test('an invalid search is 422 with an HTML page', async (t) => {
    for (const q of ['%00', 'x'.repeat(256), 'a&q=b']) {
      const { status, text } = await get(`/inbox?q=${q}`)
      t.equal(status, 422)
      t.match(text, '<h1>This address can’t be read</h1>')
    }
  })

  await t.test('an open inbox polls for new mails, by a script that its CSP allows', async (t) => {
    const page = await get('/inbox')
    const [, script = ''] = /<script>([^]*)<\/script>/.exec(page.text) ?? []
    const hash = createHash('sha256').update(script).digest('base64')
    t.match(script, 'fetch(location.href)')
    t.ok(policyOf(page).endsWith(`;connect-src 'self';script-src 'sha256-${hash}'`))
  })

  await t.test('a mail whose link has expired says so', async (t) => {
    const ada = await service.person()
    await recover(ada.email)
    await rows(sql`update one_time_tokens set expires_at = now() - interval '1 s' where email = ${ada.email}`)
    t.match((await get(await newest())).text, /Its link was used or revoked, or has expired/)
  })

  await t.test('opening the inbox or a mail does not use up its link', async (t) => {
    const ada = await service.person()
    await recover(ada.email)
    const path = await newest()
    const state = () => rows(sql`select id, expires_at from one_time_tokens order by id`)
    const before = await state()
    for (const url of ['/inbox', path, `${path}/html`])
      for (const method of ['GET', 'HEAD'] as const) t.equal((await get(url, { method })).status, 200)
    t.strictSame(await state(), before)
    t.equal(await newest(), path)
  })

  await t.test('an unknown mail is 404 with an HTML page', async (t) => {
    const unknown = await get('/inbox/00000000-0000-4000-8000-000000000000')
    t.equal(unknown.status, 404)
    t.match(unknown.headers['content-type'], /^text\/html/)
    t.match(unknown.text, 'Mail not found')
    t.equal((await get('/inbox/nonsense')).status, 422)
  })

  await t.test(
    'inbox pages have a strict CSP, no-store, no-referrer and a same-origin resource policy',
    async (t) => {
      await recover(admin.email)
      const path = await newest()
      const pages = [await get('/inbox'), await get(path), await get(`${path}/html`)]
      for (const page of pages) {
        t.match(policyOf(page), /default-src 'none'/)
        t.equal(page.headers['cache-control'], 'no-store')
        t.equal(page.headers['referrer-policy'], 'no-referrer')
        t.equal(page.headers['cross-origin-resource-policy'], 'same-origin')
        t.notMatch(page.text, /<script |\ssrc="(?!\/inbox\/)|\son\w+=/i)
      }
      for (const page of pages.slice(0, 2)) t.notMatch(policyOf(page), /unsafe|\*/)
      for (const page of pages.slice(1)) t.notMatch(policyOf(page) + page.text, /script-src|<script/)
      t.match(
        policyOf(pages[2]!),
        /;sandbox allow-popups allow-popups-to-escape-sandbox$/,
        'opened alone too',
      )
    },
  )

  await t.test('all mails can be deleted, only with the CSRF token of the inbox form', async (t) => {
    const path = await newest()
    const token = /name="token" value="([^"]+)"/.exec((await get('/inbox')).text)?.[1] ?? ''
    const clear = (payload: string, headers: Record<string, string> = {}) =>
      get('/inbox/clear', {
        method: 'POST',
        headers: { host: HOST, 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload,
      })
    const elsewhere = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    for (const payload of ['', 'token=', 'token=clear.x', `token=${token}x`])
      t.match((await clear(payload, elsewhere)).status, /^4(?:00|22)$/, payload)
    t.equal((await clear(`token=${token}`, { host: 'evil.example' })).status, 403)
    t.equal((await get('/inbox/clear', { method: 'GET' })).status, 405)
    t.equal((await get(path)).status, 200, 'nothing is lost')

    const cleared = await clear(`token=${token}`)
    t.equal(cleared.status, 303)
    t.equal(cleared.headers.location, '/inbox')
    t.match((await get('/inbox')).text, 'Nothing was sent yet')
    t.equal((await get(path)).status, 404)
    await recover(admin.email)
  })

  await t.test('a foreign Host header is 403 in the inbox (DNS rebinding)', async (t) => {
    const path = await newest()
    for (const host of [
      'evil.example',
      'evil.example:8000',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
    ])
      for (const url of ['/inbox', path, `${path}/html`]) {
        const answer = await get(url, { headers: { host } })
        t.equal(answer.status, 403, `${url} of ${host}`)
        t.notMatch(answer.text, 'token=')
      }
    t.equal((await get('/inbox', { headers: { host: '127.0.0.1:8000' } })).status, 200)
  })

  await t.test('an origin that may call the API may not read mails', async (t) => {
    const origin = 'http://localhost:5173'
    const other = await startService(t, { FRONTEND_HOST: origin })
    const { headers } = await ask(other.app, { url: '/inbox', headers: { host: HOST, origin } })
    t.same(
      Object.keys(headers).filter((name) => name.startsWith('access-control-')),
      [],
    )
    const { headers: open } = await ask(other.app, { url: '/health/live', headers: { host: HOST, origin } })
    t.equal(open['access-control-allow-origin'], origin)
  })
})

void test('with SMTP configured or outside local, the inbox is 404', async (t) => {
  const smtp = { SMTP_HOST: '127.0.0.1', SMTP_PORT: '1', EMAILS_FROM_EMAIL: 'hello@example.com' }
  const outside = {
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
  }
  for (const env of [
    smtp,
    { ...outside, ENVIRONMENT: 'staging' },
    { ...outside, ENVIRONMENT: 'production' },
  ]) {
    const app = await startWithoutData(t, env)
    for (const url of ['/inbox', '/inbox/00000000-0000-4000-8000-000000000000'])
      isAnswer(t, await ask(app, { url, headers: { host: HOST } }), 404, 'Not Found')
  }
})
