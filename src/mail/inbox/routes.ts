import { Type } from '@sinclair/typebox'
import { keyring } from '../../config/secrets/keys.ts'
import { signedIds } from '../../config/secrets/signed-ids.ts'
import { type App, Id, Text } from '../../contract/contract.ts'
import { InvalidToken, MailNotFound } from '../../contract/errors.ts'
import { probeLogging } from '../../http/observe/logger.ts'
import { answerWithPages, logoPolicy, policyText, protect } from '../../http/pages/web-page.ts'
import { hasDeadLink } from '../messages.ts'
import type { OutboxMail } from '../outbox.ts'
import { loadTemplates, renderSubject } from '../templates.ts'
import { messageIdOf } from '../transport.ts'
import { errorPage, listPage, mailPage } from './pages.ts'
import { clearMails, searchMails, showMail } from './statements.ts'

const ofList = { hide: true, querystring: Type.Object({ q: Text(255, 0, { default: '' }) }) }
const ofMail = { hide: true, params: Type.Object({ id: Id }) }
const ofClear = {
  hide: true,
  consumes: ['application/x-www-form-urlencoded'],
  body: Type.Object({ token: Type.String() }),
}

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
  // There is no sign-in here, and so no cookie. Other sites can send this form, but can't read what belongs in it.
  const forms = signedIds(keyring(config), 'inbox')

  const subjectOf = (message: string) => renderSubject(message, { project_name })
  const compose = (mail: OutboxMail) =>
    hasDeadLink(mail) ? app.mail.composeWithoutLink(mail) : app.mail.compose(mail)

  async function find(id: string): Promise<OutboxMail> {
    const [mail] = await db.run(showMail, { id })
    if (!mail) throw new MailNotFound()
    return mail
  }

  /** The messages whose subject has a text. Rows have the name of their message alone. */
  async function messagesWith(q: string): Promise<string> {
    const names = Object.keys(await loadTemplates())
    const subjects = await Promise.all(names.map(subjectOf))
    const isFound = (_: string, at: number) => subjects[at]!.toLowerCase().includes(q.toLowerCase())
    return names.filter(isFound).join(',')
  }

  answerWithPages(app, errorPage, { 'frame-src': "'self'", 'connect-src': "'self'" })

  // An open inbox asks every few seconds.
  app.get('/inbox', { schema: ofList, ...probeLogging(config) }, async ({ query: { q } }) => {
    const found = await db.run(searchMails, { q, messages: await messagesWith(q) })
    const mails = found.map(async (mail) => ({ mail, subject: await subjectOf(mail.message) }))
    return listPage({ path, q, mails: await Promise.all(mails), token: forms.sign('clear') })
  })

  app.post('/inbox/clear', { schema: ofClear, config: { limit: false } }, async ({ body }, reply) => {
    if (forms.open(body.token) !== 'clear') throw new InvalidToken()
    await db.run(clearMails, {})
    return reply.redirect(path, 303)
  })

  app.get('/inbox/:id', { schema: ofMail }, async ({ params: { id } }) => {
    const mail = await find(id)
    const from = `${config.EMAILS_FROM_NAME ?? project_name} <${address}>`
    const headers = { from, messageId: messageIdOf(id, address), subject: await subjectOf(mail.message) }
    return mailPage(path, mail, headers, await compose(mail))
  })

  app.get('/inbox/:id/html', { schema: ofMail }, async ({ params: { id } }, reply) => {
    const { html } = await compose(await find(id))
    // In new windows, as our pages refuse to be shown in a frame.
    const page = html.replace('<head>', '<head><base target="_blank">')
    return protect(reply, policyText({ ...MAIL_POLICY, ...logoPolicy(config) })).send(page)
  })
}
