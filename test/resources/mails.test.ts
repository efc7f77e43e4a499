import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { reply } from '../support/mail-server.ts'
import { startMailing } from '../support/mailing.ts'
import { startService } from '../support/service.ts'

void test('the outbox, for superusers', async (t) => {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  const shared = { connection: { ...connection, close: () => Promise.resolve() } }
  const { service, server, queue, rowOf, until } = await startMailing(t, shared)
  const { admin, call, rows } = service
  const list = (query = '') => call('GET', `/mails/${query}`, { as: admin })
  const retry = (id: string, as = admin) => call('POST', `/mails/${id}/retry`, { as })

  server.answer = (step, to) => {
    if (step !== 'to') return undefined
    if (to.startsWith('gone')) return reply(550, 'no such user, see https://x.example/?token=abc.def')
    return to.startsWith('later') ? reply(451, 'try later') : undefined
  }
  await until(/mail sent/, () => queue('sent@example.com'))
  await until(/mail not sent/, () => queue('later@example.com'))
  await until(/mail parked/, () => queue('gone@example.com'))
  const gone = await rowOf('gone@example.com')

  await t.test('GET /mails/ lists mails newest first with their state, and filters by state', async (t) => {
    const { status, body } = await list()
    t.equal(status, 200)
    t.equal(body.count, 3)
    t.match(body.data, [
      {
        id: gone.id,
        recipient: 'gone@example.com',
        message: 'test',
        state: 'parked',
        tries: 1,
        last_error: /550/,
        sent_at: null,
        next_try_at: null,
      },
      {
        recipient: 'later@example.com',
        state: 'waiting',
        tries: 1,
        last_error: /451/,
        sent_at: null,
        next_try_at: /Z$/,
      },
      {
        recipient: 'sent@example.com',
        state: 'sent',
        tries: 1,
        last_error: null,
        sent_at: /Z$/,
        next_try_at: null,
      },
    ])
    for (const [state, recipient] of [
      ['parked', 'gone'],
      ['waiting', 'later'],
      ['sent', 'sent'],
    ] as const) {
      const one = await list(`?state=${state}`)
      t.match(one.body, { count: 1, data: [{ recipient: `${recipient}@example.com` }] }, state)
    }
    t.match((await list('?skip=1&limit=1')).body, { count: 3, data: [{ recipient: 'later@example.com' }] })
    isRefused(t, await list('?state=lost'), ['query.state'])
    isAnswer(t, await call('GET', `/mails/${gone.id}`, { as: admin }), 200, body.data[0])
  })

  await t.test('mails are listed without their links, even if the mail server quoted one', async (t) => {
    const { text } = await list()
    t.notMatch(text, 'abc.def')
    const [kept] = await rows<{ last_error: string }>(
      sql`select last_error from emails where id = ${gone.id}`,
    )
    t.notMatch(kept?.last_error, 'abc.def', 'nor is it kept')
    for (const field of ['params', 'token_id', 'html', 'text']) t.notOk(text.includes(`"${field}"`))
  })

  await t.test('a parked mail can be sent again; retrying any other is 409', async (t) => {
    server.answer = () => undefined
    const again = await until(/mail sent/, () => retry(gone.id))
    t.match(again, { status: 200, body: { id: gone.id, state: 'waiting', tries: 0, next_try_at: /Z$/ } })
    t.match(await rowOf('gone@example.com'), { attempts: 1, sent: true, parked: false, last_error: null })
    t.equal(server.mails.filter(({ envelope }) => envelope.to.includes('gone@example.com')).length, 1)
    isAnswer(t, await retry(gone.id), 409, 'Only a parked mail can be sent again', 'it is sent by now')
    const later = await rowOf('later@example.com')
    isAnswer(t, await retry(later.id), 409, 'Only a parked mail can be sent again', 'it waits anyway')
    t.ok((await rowOf('later@example.com')).due_in > 0, 'and still does')
  })

  await t.test('of two concurrent retries of a mail, one is 200 and one is 409', async (t) => {
    await rows(sql`update emails set sent_at = null, parked_at = now() where id = ${gone.id}`)
    const answers = await until(/mail sent/, () => Promise.all([retry(gone.id), retry(gone.id)]))
    t.same(answers.map(({ status }) => String(status)).toSorted(), ['200', '409'])
  })

  await t.test('the outbox is 401 without a token and 403 for users who are no superusers', async (t) => {
    const person = await service.person()
    for (const [method, path] of [
      ['GET', '/mails/'],
      ['GET', `/mails/${gone.id}`],
      ['POST', `/mails/${gone.id}/retry`],
    ] as const) {
      asksForToken(t, await call(method, path))
      isAnswer(t, await call(method, path, { as: person }), 403, "The user doesn't have enough privileges")
    }
    isAnswer(t, await call('GET', `/mails/${randomUUID()}`, { as: admin }), 404, 'Mail not found')
    isAnswer(t, await retry(randomUUID()), 404, 'Mail not found')
    isRefused(t, await call('GET', '/mails/1', { as: admin }), ['path.id'])
  })

  await t.test('with mail off, retrying a mail is 503, and parked mails can still be listed', async (t) => {
    await rows(sql`update emails set sent_at = null, parked_at = now() where id = ${gone.id}`)
    const off = await startService(
      t,
      {
        ENVIRONMENT: 'staging',
        DATABASE_URL: 'postgres://127.0.0.1/unused',
      },
      shared,
    )
    isAnswer(
      t,
      await off.call('POST', `/mails/${gone.id}/retry`, { as: off.admin }),
      503,
      'Service Unavailable',
    )
    t.equal(
      (await off.call('GET', '/mails/?state=parked', { as: off.admin })).body.count,
      1,
      'but they can be seen',
    )
  })
})
