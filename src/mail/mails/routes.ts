import type { App } from '../../contract/contract.ts'
import { ServiceUnavailable } from '../../contract/errors.ts'
import { readMail, readMails, retryMail } from './schemas.ts'
import { mailStore } from './store.ts'

/** The outbox, for the people who run the service: what waits, what was given up, and why. */
export function mailRoutes(app: App) {
  const mails = mailStore(app.db)

  app.get('/mails/', { schema: readMails }, (request) => mails.page(request.query, request.query.state))
  app.get('/mails/:id', { schema: readMail }, (request) => mails.get(request.params.id))
  app.post('/mails/:id/retry', { schema: retryMail }, async (request) => {
    if (!app.mail.enabled) throw new ServiceUnavailable()
    const mail = await mails.retry(request.params.id)
    app.mail.wake()
    return mail
  })
}
