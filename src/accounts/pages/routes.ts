import type { App } from '../../contract/contract.ts'
import { InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { answerWithPages } from '../../http/pages/web-page.ts'
import { resetPassword } from '../reset-password.ts'
import * as reset from './reset-password.ts'
import { opened, resetPassword as resetForm, verifyEmail } from './schemas.ts'
import * as verify from './verify-email.ts'

/**
 * Where links in mails lead without a frontend. Opening one changes nothing (mail programs and scanners open links,
 * too); the form that it shows does, by the same means as the API. The token is the authority, so there is no
 * cookie that another site could use.
 */

/** Nobody can guess a token (256 bits); it is refused before the database is asked. */
const config = { limit: false } as const

export function resetPasswordPage(app: App) {
  const { oneTimeTokens } = app.auth
  const save = resetPassword(app)
  answerWithPages(app, reset.errorPage)

  app.get('/reset-password', { schema: opened }, async ({ query: { token } }) => {
    const found = await oneTimeTokens.find('reset_password', token)
    if (!found) throw new InvalidToken()
    if (!found.user_is_active) throw new InactiveUser()
    return reset.formPage(token)
  })

  app.post('/reset-password', { schema: resetForm, config }, async (request, reply) => {
    await save(request.body, request, reply)
    return reset.donePage
  })
}

export function verifyEmailPage(app: App) {
  const { oneTimeTokens } = app.auth
  answerWithPages(app, verify.errorPage)

  app.get('/verify-email', { schema: opened }, async ({ query: { token } }) => {
    if (!(await oneTimeTokens.find('verify_email', token))) throw new InvalidToken()
    return verify.formPage(token)
  })

  app.post('/verify-email', { schema: verifyEmail, config }, async (request) => {
    await request.verifyEmail(request.body.token)
    return verify.donePage
  })
}
