import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { freshDatabase } from '../support/database.ts'
import { startMailing } from '../support/mailing.ts'
import { startService } from '../support/service.ts'

/** Time limit of a whole delivery attempt: a thirtieth of the one in production. */
const mailAttemptMs = 8_000

void test('a mail server that answers each command late', async (t) => {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  const shared = { connection: { ...connection, close: () => Promise.resolve() }, mailAttemptMs }
  const { service, server, log, queue, rowOf, due, until } = await startMailing(t, shared)
  const answerAfter = (ms: number) => {
    server.answer = async () => {
      await pause(ms)
      return undefined
    }
  }

  await t.test('a slow mail server gets each mail once from two replicas', async (t) => {
    // A first mail, which compiles the templates; sent before the replica starts, which would log it elsewhere.
    await until(/mail sent/, queue)
    const replica = await startService(t, server.env, shared)
    answerAfter(500)
    const leases: number[] = []
    await service.rows(sql`
      insert into emails (message, recipient) select 'test', n || '@example.com' from generate_series(1, 12) n`)
    const asking = setInterval(() => [service, replica].forEach(({ app }) => app.mail.wake()), 50)
    t.teardown(() => clearInterval(asking))
    const left = sql`select extract(epoch from next_attempt_at - now())::float as lease from emails
      where sent_at is null and attempts > 0`
    for (;;) {
      const rows = await service.rows<{ waiting: number }>(
        sql`select count(*)::integer as waiting from emails where sent_at is null`,
      )
      if (rows[0]!.waiting === 0) break
      leases.push(...(await service.rows<{ lease: number }>(left)).map(({ lease }) => lease))
      await pause(50)
    }
    await pause(mailAttemptMs / 2) // so that a duplicate would arrive
    t.equal(server.mails.length, 13)
    t.equal(new Set(server.mails.map(({ messageId }) => messageId)).size, 13, 'no mail comes twice')
    t.ok(Math.min(...leases) > 0, 'no mail outlives its lease while it waits or is sent')
  })

  await t.test(
    'a delivery attempt that takes too long in all is aborted, and the mail is sent later',
    async (t) => {
      const before = server.mails.length
      answerAfter(5_200) // never silent for as long as an attempt takes
      const email = await until(/mail not sent/, queue)
      t.match(await rowOf(email), { attempts: 1, sent: false, parked: false })
      await pause(3_000)
      t.equal(server.mails.length, before, 'nothing of the attempt goes on')
      answerAfter(0)
      await until(/mail sent/, due)
      t.equal(server.mails.length, before + 1)
      t.equal(log.count(/mail parked/), 0)
    },
  )
})
