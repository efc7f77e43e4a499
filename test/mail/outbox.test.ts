import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { pauseAfter } from '../../src/mail/deliverer.ts'
import { outbox } from '../../src/mail/outbox.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { freshDatabase } from '../support/database.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { reply, startMailServer } from '../support/mail-server.ts'
import { address, startService } from '../support/service.ts'

interface Row {
  readonly id: string
  readonly attempts: number
  readonly due_in: number
  readonly sent: boolean
  readonly parked: boolean
  readonly last_error: string | null
}

/** Longer than any answer may take, and shorter than a mail server is waited for. */
const AT_ONCE_MS = 2_000

void test('what happens to mails when things break', async (t) => {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  const shared = { connection: { ...connection, close: () => Promise.resolve() } }
  const server = await startMailServer(t)
  const log = await collectingLogger()
  const service = await startService(t, server.env, { ...shared, logger: log.logger })
  cheapHashing(service)
  const { admin, app, call, rows } = service

  const queue = async (email = address()) => {
    t.equal((await call('POST', `/utils/test-email/?email_to=${email}`, { as: admin })).status, 201)
    return email
  }
  const rowOf = async (email: string) => {
    const [row] = await rows<Row>(sql`
      select id, attempts, extract(epoch from next_attempt_at - now())::float as due_in, last_error,
        sent_at is not null as sent, parked_at is not null as parked
      from emails where recipient = ${email} order by created_at desc limit 1`)
    return row!
  }
  /** The time for another try has come. */
  const due = async () => {
    await rows(sql`update emails set next_attempt_at = now() where sent_at is null and parked_at is null`)
    app.mail.wake()
  }
  const mailsTo = (email: string) => server.mails.filter(({ envelope }) => envelope.to.includes(email))
  const counted = (text: string) => log.lines.filter((line) => line.includes(text)).length
  /** Runs something and waits until the deliverer has said this of one more mail. */
  const until = async <T>(text: string, run: () => Promise<T>): Promise<T> => {
    const count = counted(text)
    const result = await run()
    await log.told(text, count + 1)
    return result
  }
  const deliver = () => until('mail sent', due)

  await t.test('nobody waits for a mail server that keeps silent', async (t) => {
    const person = await service.person()
    let release: (() => void) | undefined
    const silence = new Promise<undefined>((resolve) => (release = () => resolve(undefined)))
    const reached = new Promise<void>((resolve) => {
      server.answer = () => (resolve(), silence)
    })
    for (const [method, path, body] of [
      ['POST', `/password-recovery/${person.email}`, undefined],
      ['POST', '/users/', { email: address(), password: 'correct horse battery' }],
      ['POST', '/utils/test-email/?email_to=ops@example.com', undefined],
    ] as const) {
      const start = performance.now()
      t.ok((await call(method, path, { as: admin, body })).status < 300, path)
      t.ok(performance.now() - start < AT_ONCE_MS, 'at once')
    }
    await reached
    const row = await rowOf(person.email)
    t.match(row, { attempts: 1, sent: false, parked: false })
    t.ok(row.due_in > 60, 'and no other process takes it meanwhile')
    server.answer = () => undefined
    release?.()
    await server.arrived(3)
    t.equal(mailsTo(person.email).length, 1, 'it arrives once the server speaks')
  })

  await t.test('a mail that is refused for now arrives later', async (t) => {
    for (const step of ['from', 'to', 'data'] as const) {
      server.answer = (at) => (at === step ? reply(451, 'try later') : undefined)
      const email = await until('mail not sent', queue)
      const row = await rowOf(email)
      t.match(
        row,
        { attempts: 1, sent: false, parked: false, last_error: /451 try later/ },
        `refused at ${step}`,
      )
      t.ok(row.due_in > 0 && row.due_in <= pauseAfter(1), 'it is tried again soon')
      server.answer = () => undefined
      await deliver()
      t.match(await rowOf(email), { attempts: 2, sent: true, last_error: null })
      t.equal(mailsTo(email).length, 1)
    }
    t.same(
      [1, 2, 3, 8, 9, 50].map(pauseAfter),
      [5, 10, 20, 640, 900, 900],
      'pauses grow, to a quarter of an hour',
    )
  })

  await t.test('a mail server may be away', async (t) => {
    await server.close()
    const email = await until('mail not sent', queue)
    t.match(await rowOf(email), { sent: false, parked: false, last_error: /ECONNREFUSED|closed/ })
    const back = await startMailServer(t, {}, server.port)
    await deliver()
    t.same(
      back.mails.map(({ envelope }) => envelope.to),
      [[email]],
    )
    await back.close()
    t.equal((await rowOf(email)).sent, true)
  })

  await t.test('an operator who forgot the password loses no mail', async (t) => {
    const strict = await startMailServer(t, {}, server.port)
    strict.answer = (step) => (step === 'from' ? reply(530, '5.7.0 Authentication required') : undefined)
    const email = await until('"level":', queue)
    await log.told(String((await rowOf(email)).id), 1)
    t.match(
      await rowOf(email),
      { sent: false, parked: false, last_error: /530/ },
      'it waits until that is mended',
    )
    strict.answer = () => undefined
    await rows(sql`update emails set parked_at = null`)
    await deliver()
    await strict.close()
  })
})
