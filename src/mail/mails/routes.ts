import { type SQL, sql } from 'drizzle-orm'
import type { App } from '../../contract/contract.ts'
import { MailNotFound, MailNotParked, ServiceUnavailable } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { emails } from '../../database/tables.ts'
import { preparePages } from '../../ownership/list/page.ts'
import { readMail, readMails, retryMail } from './schemas.ts'

/** The outbox, for the people who run the service: what waits, what was given up, and why. */
export function mailRoutes(app: App) {
  const { db } = app
  const pages = pagesByState(db)

  app.get('/mails/', { schema: readMails }, async ({ query }) => {
    const page = await pages[query.state ?? 'all'](query)
    return { ...page, data: page.data.map(publicOf) }
  })

  app.get('/mails/:id', { schema: readMail }, async ({ params: { id } }) => {
    const [mail] = await db.run(findMail, { id })
    if (!mail) throw new MailNotFound()
    return publicOf(mail)
  })

  app.post('/mails/:id/retry', { schema: retryMail }, async ({ params: { id } }) => {
    if (!app.mail.enabled) throw new ServiceUnavailable()
    const [mail] = await db.run(retryParked, { id })
    if (!mail) {
      const [found] = await db.run(findMail, { id })
      throw found ? new MailNotParked() : new MailNotFound()
    }
    app.mail.wake()
    return publicOf(mail)
  })
}

type State = 'waiting' | 'sent' | 'parked'

type Mail = Pick<
  typeof emails.$inferSelect,
  | 'id'
  | 'message'
  | 'recipient'
  | 'attempts'
  | 'last_error'
  | 'created_at'
  | 'next_attempt_at'
  | 'sent_at'
  | 'parked_at'
>

function publicOf({ parked_at, next_attempt_at, attempts: tries, ...mail }: Mail) {
  const { id, message, recipient, last_error, created_at, sent_at } = mail
  const state: State = sent_at ? 'sent' : parked_at ? 'parked' : 'waiting'
  const next_try_at = state === 'waiting' ? next_attempt_at : null
  return { id, message, recipient, state, tries, last_error, created_at, next_try_at, sent_at }
}

const columns = sql.raw(
  'id, message, recipient, attempts, last_error, created_at, next_attempt_at, sent_at, parked_at',
)

const findMail = statement<{ id: string }, Mail>(
  'find mail',
  (v) => sql`
    select ${columns} from ${emails} where id = ${v.id}`,
)

const retryParked = statement<{ id: string }, Mail>(
  'retry parked mail',
  (v) => sql`
    update ${emails} set parked_at = null, attempts = 0, next_attempt_at = now()
    where id = ${v.id} and parked_at is not null
    returning ${columns}`,
)

/** Each state is found by a partial index where few mails have it. */
function pagesByState(db: App['db']) {
  const pages = (condition: SQL) =>
    preparePages<Mail>(db, emails, { search: ['recipient'], where: condition })
  return {
    all: pages(sql`true`), // a condition, so that they are counted exactly
    waiting: pages(sql`${emails.sent_at} is null and ${emails.parked_at} is null`),
    sent: pages(sql`${emails.sent_at} is not null`),
    parked: pages(sql`${emails.parked_at} is not null`),
  }
}
