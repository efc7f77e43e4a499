import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { ask } from '../support/no-database.ts'
import { type Person, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

void test('the page of second factors', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, call, rows, person } = service
  /** Sends a form as a browser does. */
  const send = (url: string, fields: Record<string, string>) =>
    ask(app, {
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' },
      payload: new URLSearchParams(fields).toString(),
    })
  const hidden = (text: string) =>
    Object.fromEntries(
      [...text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [
        name!,
        value!.replaceAll('&amp;', '&'),
      ]),
    )
  const signIn = ({ email, password }: Pick<Person, 'email' | 'password'>) =>
    send('/second-factor', { email, password })
  const codesIn = (text: string) => text.match(/(?:[a-z2-7]{4}-){3}[a-z2-7]{4}/g) ?? []
  /** Sets an authenticator up by the page. */
  async function setUp(ada: Person) {
    const begun = hidden((await signIn(ada)).text)
    const scan = hidden((await send('/second-factor/set-up', begun)).text)
    const done = await send('/second-factor/confirm', { ...scan, code: totpOf(scan.secret!) })
    await rows(sql`update factors set last_step = null where user_id = ${ada.id}`)
    return { secret: scan.secret!, done }
  }

  await t.test('somebody sets an authenticator up, with a QR code and recovery codes', async (t) => {
    const ada = await person()
    const first = await ask(app, { url: '/second-factor' })
    t.equal(first.status, 200)
    t.match(first.text, /autocomplete="username"[\s\S]*autocomplete="current-password"/)
    const begun = await signIn(ada)
    t.match(begun.text, 'Set up an authenticator')
    const scan = await send('/second-factor/set-up', hidden(begun.text))
    t.match(scan.text, '<svg')
    t.match(scan.text, /autocomplete="one-time-code"/)
    t.match(scan.headers['content-security-policy'], /default-src 'none'/)
    const fields = hidden(scan.text)
    const wrong = await send('/second-factor/confirm', { ...fields, code: 'abcdef' })
    t.equal(wrong.status, 400)
    t.match(wrong.text, 'This code is not right')
    t.match(wrong.text, '<svg', 'and the same key again')
    const done = await send('/second-factor/confirm', { ...fields, code: totpOf(fields.secret!) })
    t.equal(done.status, 200)
    t.equal(codesIn(done.text).length, 10)
    const [, second] = (await call('GET', '/users/me/sessions', { as: ada })).body.data as unknown[]
    t.equal(second, undefined, 'the session of the page has ended')
    const answer = await service.signIn(ada.email, ada.password)
    t.equal(answer.body.detail, 'Second factor required')
  })

  await t.test(
    'it asks for a code where there is one, makes new recovery codes, and removes it',
    async (t) => {
      const ada = await person()
      const { secret, done } = await setUp(ada)
      const asked = await signIn(ada)
      t.equal(asked.status, 200)
      t.match(asked.text, 'Enter a code')
      const challenge = hidden(asked.text)
      const wrong = await send('/second-factor/code', { ...challenge, code: '000' })
      t.equal(wrong.status, 400)
      t.match(wrong.text, 'This code is not right')
      const inside = await send('/second-factor/code', {
        ...hidden(wrong.text),
        code: codesIn(done.text)[0]!,
      })
      t.match(inside.text, 'Signing in asks for a code')
      const fresh = await send('/second-factor/recovery-codes', { session: hidden(inside.text).session! })
      t.equal(codesIn(fresh.text).length, 10)

      const again = await send('/second-factor/code', {
        ...hidden((await signIn(ada)).text),
        code: totpOf(secret),
      })
      const removed = await send('/second-factor/remove', hidden(again.text))
      t.match(removed.text, 'The authenticator was removed')
      t.equal((await service.signIn(ada.email, ada.password)).status, 200)
    },
  )

  await t.test('what is wrong is said in words, and what was typed stays', async (t) => {
    const ada = await person()
    const wrong = await signIn({ ...ada, password: 'a wrong password' })
    t.equal(wrong.status, 400)
    t.match(wrong.text, 'do not belong together')
    t.match(wrong.text, `value="${ada.email}"`)
    for (const [path, fields] of [
      ['/second-factor/code', { challenge: 'unknown', code: '123456' }],
      ['/second-factor/set-up', { session: 'unknown' }],
      ['/second-factor/set-up', {}],
      ['/second-factor/confirm', { session: 'unknown', id: 'x', secret: '<', uri: 'x', code: '1' }],
    ] as const) {
      const answer = await send(path, fields)
      t.ok(answer.status >= 400 && answer.status < 500, path)
      t.match(answer.text, 'Begin again', path)
      t.match(answer.text, 'name="password"')
    }
  })

  await t.test('a session that is not of late sets nothing up', async (t) => {
    const ada = await person()
    const begun = hidden((await signIn(ada)).text)
    await rows(
      sql`update sessions set authenticated_at = now() - interval '2 hours' where user_id = ${ada.id}`,
    )
    t.equal((await send('/second-factor/set-up', begun)).status, 403)
    t.strictSame(await rows(sql`select id from factors where user_id = ${ada.id}`), [])
  })
})
