import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { freshDatabase } from '../support/database.ts'
import { startMailing } from '../support/mailing.ts'
import { startService } from '../support/service.ts'

/** Of an attempt as a whole: a thirtieth of what it is in production. */
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

  await t.test('gets each mail once, however many replicas send', async (t) => {
    // Before there is another that might take it, and say so in a log of its own; templates are compiled for the first one.
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
    await pause(mailAttemptMs / 2) // so that one that is still on its way would arrive
    t.equal(server.mails.length, 13)
    t.equal(new Set(server.mails.map(({ messageId }) => messageId)).size, 13, 'no mail comes twice')
    t.ok(Math.min(...leases) > 0, 'no mail outlives its lease while it waits or is sent')
  })

  await t.test(
    'is given up when the attempt as a whole takes too long, and gets the mail later',
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
