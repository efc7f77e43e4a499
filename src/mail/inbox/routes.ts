import { Type } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import { type App, Id } from '../../contract/contract.ts'
import { MailNotFound } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { emails } from '../../database/tables.ts'
import { answerWithPages, protect } from '../../http/pages/web-page.ts'
import { DeadLink } from '../messages.ts'
import { type OutboxMail, mailColumns } from '../outbox.ts'
import { renderSubject } from '../templates.ts'
import { messageIdOf } from '../transport.ts'
import { errorPage, listPage, mailPage } from './pages.ts'

const hide = { hide: true }
const ofMail = { hide: true, params: Type.Object({ id: Id }) }

/** A mail may show itself and open its links in new windows, nothing else. */
const MAIL_POLICY = {
  'default-src': "'none'",
  'style-src': "'unsafe-inline'",
  'frame-ancestors': "'self'",
  sandbox: 'allow-popups allow-popups-to-escape-sandbox',
}

/**
 * Pages that show the mails of the outbox: in local without SMTP_HOST, and nowhere else. A mail is composed when it is
 * looked at, so its links work.
 */
export function inbox(app: App) {
  const { config, db } = app
  const { PROJECT_NAME: project_name, EMAILS_FROM_EMAIL: address = 'noreply@localhost' } = config
  const path = `${config.publicPath}/inbox`
  const subjectOf = ({ message }: OutboxMail) => renderSubject(message, { project_name })

  /** @returns undefined where its link no longer works */
  const compose = (mail: OutboxMail) =>
    app.mail.compose(mail).catch((error: unknown) => {
      if (error instanceof DeadLink) return undefined
      throw error
    })
  async function find(id: string): Promise<OutboxMail> {
    const [mail] = await db.run(showMail, { id })
    if (!mail) throw new MailNotFound()
    return mail
  }

  answerWithPages(app, errorPage, { 'frame-src': "'self'" })

  app.get('/inbox', { schema: hide }, async () => {
    const mails = await db.run(newestMails, {})
    return listPage(
      path,
      await Promise.all(mails.map(async (mail) => ({ mail, subject: await subjectOf(mail) }))),
    )
  })

  app.get('/inbox/:id', { schema: ofMail }, async ({ params: { id } }) => {
    const mail = await find(id)
    const from = `${config.EMAILS_FROM_NAME ?? project_name} <${address}>`
    const headers = { from, messageId: messageIdOf(id, address), subject: await subjectOf(mail) }
    return mailPage(path, mail, headers, await compose(mail))
  })

  app.get('/inbox/:id/html', { schema: ofMail }, async ({ params: { id } }, reply) => {
    const mail = await compose(await find(id))
    if (!mail) throw new MailNotFound()
    // In new windows, as our pages refuse to be shown in a frame.
    return protect(reply, MAIL_POLICY).send(mail.html.replace('<head>', '<head><base target="_blank">'))
  })
}

/** Older mails are in the database. */
const MOST = 100

const newestMails = statement<object, OutboxMail>(
  'list newest mails',
  () => sql`
    select ${mailColumns} from ${emails}
    order by created_at desc, id desc
    limit ${sql.raw(String(MOST))}`,
)

const showMail = statement<{ id: string }, OutboxMail>(
  'show mail',
  (v) => sql`
    select ${mailColumns} from ${emails} where id = ${v.id}`,
)
