import { Type } from '@sinclair/typebox'
import { type App, Id } from '../../contract/contract.ts'
import { MailNotFound } from '../../contract/errors.ts'
import { DeadLink } from '../messages.ts'
import { renderSubject } from '../templates.ts'
import { messageIdOf } from '../transport.ts'
import { answerWithPages, protect } from '../../http/pages/web-page.ts'
import { errorPage, listPage, mailPage } from './pages.ts'
import { type KeptMail, keptMails } from './store.ts'

const hide = { hide: true }
const ofMail = { hide: true, params: Type.Object({ id: Id }) }

/** What a mail may do: show itself, and open its links in a window of their own. */
const MAIL_POLICY = {
  'default-src': "'none'",
  'style-src': "'unsafe-inline'",
  'frame-ancestors': "'self'",
  sandbox: 'allow-popups allow-popups-to-escape-sandbox',
}

/**
 * The mails that were sent, to look at: in local where no mail server is configured, and nowhere else. Mails are
 * composed when they are looked at, with links that work.
 */
export function inbox(app: App) {
  const { config } = app
  const { PROJECT_NAME: project_name, EMAILS_FROM_EMAIL: address = 'noreply@localhost' } = config
  const path = `${config.publicPath}/inbox`
  const mails = keptMails(app.db)
  const subjectOf = ({ message }: KeptMail) => renderSubject(message, { project_name })

  /** Undefined where its link is dead. */
  const compose = (mail: KeptMail) =>
    app.mail.compose(mail).catch((error: unknown) => {
      if (error instanceof DeadLink) return undefined
      throw error
    })
  async function find(id: string): Promise<KeptMail> {
    const mail = await mails.find(id)
    if (!mail) throw new MailNotFound()
    return mail
  }

  answerWithPages(app, errorPage, { 'frame-src': "'self'" })

  app.get('/inbox', { schema: hide }, async () => {
    const newest = await mails.newest()
    return listPage(
      path,
      await Promise.all(newest.map(async (mail) => ({ mail, subject: await subjectOf(mail) }))),
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
    // Links open in a window of their own: in its frame, no page would let itself be shown.
    return protect(reply, MAIL_POLICY).send(mail.html.replace('<head>', '<head><base target="_blank">'))
  })
}
