import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { freshDatabase } from '../support/database.ts'
import { address, startService } from '../support/service.ts'

void test('utils', async (t) => {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  const shared = { connection: { ...connection, close: () => Promise.resolve() } }
  const service = await startService(t, {}, shared)
  cheapHashing(service)
  const { admin, call, rows } = service
  const person = await service.person()
  const mails = () => rows<{ recipient: string }>(sql`select recipient from emails where message = 'test'`)
  const testMail = (query: string, as = admin) => call('POST', `/utils/test-email/${query}`, { as })

  await t.test('GET /utils/health-check/ needs no token', async (t) => {
    for (const path of ['/utils/health-check/', '/utils/health-check'])
      isAnswer(t, await call('GET', path), 200, true, path)
  })

  await t.test('a superuser can send a test mail', async (t) => {
    const message = { message: 'Test email sent' }
    isAnswer(t, await testMail('?email_to=ada%2Btest@example.com'), 201, message)
    isAnswer(t, await call('POST', '/utils/test-email?email_to=bob@example.com', { as: admin }), 201, message)
    t.same(
      (await mails()).map(({ recipient }) => recipient).toSorted(),
      ['ada+test@example.com', 'bob@example.com'],
      'a mail each, to the address that was given',
    )
  })

  await t.test('a test mail is 401 without a token and 403 for other users', async (t) => {
    const { length } = await mails()
    asksForToken(t, await call('POST', '/utils/test-email/?email_to=ada@example.com'))
    asksForToken(t, await call('POST', '/utils/test-email/'), 'whatever the query is')
    for (const query of ['?email_to=ada@example.com', ''])
      isAnswer(t, await testMail(query, person), 403, "The user doesn't have enough privileges")
    t.equal((await mails()).length, length, 'and none was queued')
  })

  await t.test('a test mail to a malformed address, to several or to none is 422', async (t) => {
    const { length } = await mails()
    const wrong = [
      '',
      'ada',
      'a@b.co,c@d.co',
      'a@b.co;c@d.co',
      'a@b.co\r\nBcc: c@d.co',
      'Ada <a@b.co>',
      'a@b.co\0',
    ]
    for (const text of wrong) {
      const answer = await testMail(`?email_to=${encodeURIComponent(text)}`)
      t.equal(answer.status, 422, JSON.stringify(text))
      t.same(answer.body.detail[0].loc, ['query', 'email_to'])
    }
    isRefused(t, await testMail(''), ['query.email_to'], 'it must be given')
    isRefused(t, await testMail('?email_to=a@b.co&email_to=c@d.co'), ['query.email_to'], 'and once')
    t.equal((await mails()).length, length)
  })

  await t.test('with mail off, a test mail is 503 and no mail is queued', async (t) => {
    const env = {
      ENVIRONMENT: 'staging',
      DATABASE_URL: 'postgres://127.0.0.1/unused',
    }
    const off = await startService(t, env, shared)
    cheapHashing(off)
    const before = await rows(sql`select id from emails union all select id from one_time_tokens order by id`)
    const testMail = await off.call('POST', '/utils/test-email/?email_to=a@b.co', { as: off.admin })
    isAnswer(t, testMail, 503, 'Service Unavailable')
    t.ok(testMail.headers['retry-after'])
    const account = { email: address(), password: 'correct horse battery' }
    t.equal((await off.call('POST', '/users/', { as: off.admin, body: account })).status, 200)
    t.equal((await off.signIn(account.email, account.password)).status, 200, 'the account works')
    t.equal((await off.call('POST', `/password-recovery/${account.email}`)).status, 200)
    t.same(
      await rows(sql`select id from emails union all select id from one_time_tokens order by id`),
      before,
    )
  })
})
