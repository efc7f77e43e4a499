import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { pauseAfter } from '../../src/mail/deliverer.ts'
import { outbox } from '../../src/mail/outbox.ts'
import { freshDatabase } from '../support/database.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { reply, startMailServer } from '../support/mail-server.ts'
import { startMailing } from '../support/mailing.ts'
import { address, startService } from '../support/service.ts'
import { until as eventually } from '../support/until.ts'

/** Half of the 10 s that a stop may take. */
const STOP_MS = 5_000

const sent = /mail sent/
const failed = /mail not sent/
const parked = /mail parked/

/** A database for several services, one after the other or at once. */
async function sharedDatabase(t: Test) {
  const connection = await freshDatabase()
  t.teardown(connection.close)
  return { connection: { ...connection, close: () => Promise.resolve() } }
}

void test('mail delivery under faults', async (t) => {
  const shared = await sharedDatabase(t)
  const { service, server, log, queue, rowOf, due, until } = await startMailing(t, shared)
  const { admin, app, call, rows } = service
  const works = () => undefined
  const mailsTo = (email: string) => server.mails.filter(({ envelope }) => envelope.to.includes(email))

  await t.test('no request waits for a mail server that does not answer', async (t) => {
    const { email } = await service.person()
    let speak = (): void => undefined
    const silence = new Promise<undefined>((resolve) => (speak = () => resolve(undefined)))
    const reached = new Promise<void>((resolve) => {
      server.answer = () => {
        resolve()
        return silence
      }
    })
    const body = { email: address(), password: 'correct horse battery' }
    for (const path of [
      `/password-recovery/${email}`,
      '/users/',
      '/utils/test-email/?email_to=ops@example.com',
    ]) {
      t.ok((await call('POST', path, { as: admin, ...(path === '/users/' && { body }) })).status < 300, path)
    }
    await reached
    t.equal(log.count(sent) + log.count(failed), 0, 'the mail server was still silent')
    const row = await rowOf(email)
    t.match(row, { attempts: 1, sent: false, parked: false })
    t.ok(row.due_in > 60, 'and no other process takes it meanwhile')
    server.answer = works
    speak()
    await log.told(sent, 3)
    t.equal(mailsTo(email).length, 1, 'it arrives once the server speaks')
  })

  await t.test('a mail that the server refuses with 451 is tried again and arrives', async (t) => {
    for (const step of ['from', 'to', 'data'] as const) {
      server.answer = (at) => (at === step ? reply(451, 'try later') : undefined)
      const email = await until(failed, queue)
      const row = await rowOf(email)
      t.match(
        row,
        { attempts: 1, sent: false, parked: false, last_error: /451 try later/ },
        `refused at ${step}`,
      )
      t.ok(row.due_in > 0 && row.due_in <= pauseAfter(1), 'it is tried again soon')
      server.answer = works
      await until(sent, due)
      t.match(await rowOf(email), { attempts: 2, sent: true, last_error: null })
      t.equal(mailsTo(email).length, 1)
    }
    t.same(
      [1, 2, 3, 8, 9, 50].map(pauseAfter),
      [5, 10, 20, 640, 900, 900],
      'pauses grow, to a quarter of an hour',
    )
  })

  await t.test(
    'a mail whose recipient is refused with 550 is parked, and holds up no other mail',
    async (t) => {
      const asked: string[] = []
      server.answer = (step, to) => {
        if (step === 'to') asked.push(to)
        return to.startsWith('gone') && step === 'to' ? reply(550, 'no such user here') : undefined
      }
      await until(parked, () => queue('gone@example.com'))
      const row = await rowOf('gone@example.com')
      t.match(
        row,
        { attempts: 1, sent: false, parked: true, last_error: /550 no such user here/ },
        'it says why',
      )
      await rows(sql`update emails set next_attempt_at = now() - interval '1 hour' where id = ${row.id}`)
      await until(sent, () => queue('there@example.com'))
      t.same(asked, ['gone@example.com', 'there@example.com'], 'it is not tried again')
      server.answer = works
    },
  )

  await t.test('a mail refused with 530 for lack of a password is not parked but sent later', async (t) => {
    server.answer = (step) => (step === 'from' ? reply(530, '5.7.0 Authentication required') : undefined)
    const email = await until(/mail (not sent|parked)/, queue)
    t.match(await rowOf(email), { parked: false, last_error: /530/ }, 'mails wait until that is mended')
    server.answer = works
    await rows(sql`update emails set parked_at = null where recipient = ${email}`)
    await until(sent, due)
  })

  await t.test('a mail whose link was used, was revoked or has expired is not sent', async (t) => {
    const kills = {
      used: async (email: string) => {
        const body = { token: await service.resetToken(email), new_password: 'another long one' }
        t.equal((await call('POST', '/reset-password/', { body })).status, 200)
      },
      expired: (email: string) =>
        rows(sql`update one_time_tokens set expires_at = now() - interval '1 s' where email = ${email}`),
      replaced: async (email: string) => {
        const [user] = await rows<{ id: string }>(sql`select id from users where email = ${email}`)
        await call('PATCH', `/users/${user?.id}`, { as: admin, body: { email: address() } })
      },
    }
    for (const [how, kill] of Object.entries(kills)) {
      const { email } = await service.person()
      server.answer = () => reply(451, 'try later')
      await until(failed, () => call('POST', `/password-recovery/${email}`))
      await kill(email)
      // Without the notices that this causes.
      await rows(sql`delete from emails where message <> 'recovery'`)
      server.answer = works
      await until(parked, due)
      t.match(
        await rowOf(email),
        { sent: false, parked: true, last_error: /link was used or revoked, or has expired/ },
        how,
      )
      t.same(
        mailsTo(email).filter(({ subject }) => subject?.startsWith('Reset')),
        [],
      )
    }
  })

  await t.test(
    'a sent mail that could not be marked as sent is marked later, and not sent again',
    async (t) => {
      const told = log.count(sent)
      await rows(
        sql`alter table emails add constraint unmarked check (message <> 'test' or sent_at is null) not valid`,
      )
      const email = await queue()
      await eventually(() => Promise.resolve(mailsTo(email).length > 0))
      t.match(await rowOf(email), { attempts: 1, sent: false, parked: false, last_error: null })
      await rows(sql`alter table emails drop constraint unmarked`)
      await eventually(async () => (await rowOf(email)).sent)
      await log.told(sent, told + 1)
      t.match(await rowOf(email), { attempts: 1, sent: true })
      t.equal(mailsTo(email).length, 1)
    },
  )

  await t.test('a mail waits while the mail server is down, and arrives when it is back', async (t) => {
    await server.close()
    const email = await until(failed, queue)
    t.match(await rowOf(email), { sent: false, parked: false, last_error: /\S/ })
    const back = await startMailServer(t, {}, server.port)
    await until(sent, due)
    t.same(
      back.mails.map(({ envelope }) => envelope.to),
      [[email]],
    )

    await t.test('two replicas on one database send each mail once', async (t) => {
      const other = await collectingLogger()
      const second = await startService(t, back.env, { ...shared, logger: other.logger })
      const before = log.count(sent)
      await rows(sql`
        insert into emails (message, recipient) select 'test', n || '@example.com' from generate_series(1, 40) n`)
      app.mail.wake()
      second.app.mail.wake()
      const mails = await back.arrived(41)
      while (log.count(sent) - before + other.count(sent) < 40)
        await Promise.race([log.told(sent, log.count(sent) + 1), other.told(sent, other.count(sent) + 1)])
      const ids = mails.slice(1).map(({ messageId }) => messageId)
      t.equal(new Set(ids).size, 40)
      t.equal(mails.length, 41)
    })
  })

  await t.test('a mail server that does not answer does not hold up a stop', async (t) => {
    const silent = await startMailServer(t)
    const stopping = await startService(t, silent.env, shared)
    let speak = (): void => undefined
    const silence = new Promise<undefined>((resolve) => (speak = () => resolve(undefined)))
    const reached = new Promise<void>((resolve) => {
      silent.answer = (step) => {
        if (step !== 'to') return undefined
        resolve()
        return silence
      }
    })
    await stopping.call('POST', '/utils/test-email/?email_to=late@example.com', { as: stopping.admin })
    await reached
    const closed = stopping.close().then(() => 'closed')
    const first = await Promise.race([closed, pause(STOP_MS, 'still waiting', { ref: false })])
    t.equal(first, 'closed', 'an operator who stops the service would have to kill it')
    speak()
    await closed
  })
})

void test('a mail that another process took is left to it until its lease ends', async (t) => {
  const shared = await sharedDatabase(t)
  const { db } = shared.connection
  await db.execute(sql`insert into emails (message, recipient, next_attempt_at)
    values ('test', 'leased@example.com', now() - interval '1 second')`)
  const claimed = await outbox(db).claim()
  t.match(claimed, { recipient: 'leased@example.com', attempts: 1 })

  const { server, queue, rowOf, due, until } = await startMailing(t, shared)
  const recipients = () => server.mails.flatMap(({ envelope }) => envelope.to)
  const other = await until(sent, queue)
  t.same(recipients(), [other], 'while the other process may be sending it')
  await until(sent, due)
  t.same(recipients(), [other, 'leased@example.com'], 'and then it is not lost')
  t.match(await rowOf('leased@example.com'), { attempts: 2, sent: true })
})
