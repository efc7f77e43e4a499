import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { InvalidToken } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import { type ErrorBody, type WebPage, answerWithPages } from '../../http/pages/web-page.ts'
import { verifyEmail } from '../verify-email.ts'
import { deadLinkPage, faultPage, formRoute, linkRoute, retryPage, tokenOf } from './mailed-link.ts'

/** /verify-email: confirming an address. */
export function verifyEmailPage(app: App) {
  const { oneTimeTokens } = app.auth
  const verify = verifyEmail(app)
  answerWithPages(app, errorPage)

  app.get('/verify-email', linkRoute, async ({ query: { token } }) => {
    if (!(await oneTimeTokens.find('verify_email', token))) throw new InvalidToken()
    return formPage(token)
  })

  app.post('/verify-email', formRoute(VerifyEmailForm), async (request) => {
    await verify(request.body.token, request)
    return donePage
  })
}

const VerifyEmailForm = Type.Object({ token: Type.String() })

const formPage = (token: string, error?: string): WebPage => ({
  title: error === undefined ? 'Confirm your address' : 'Error: confirm your address',
  main: html`<h1>Confirm your address</h1>
    ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
    <p>Do so only if the account is yours.</p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
      <button>Confirm address</button>
    </form>`,
})

const donePage: WebPage = {
  title: 'Your address is confirmed',
  main: html`<h1>Your address is confirmed</h1>
    <p>Thank you. You can close this page.</p>`,
}

function errorPage(error: ErrorBody, request: FastifyRequest): WebPage {
  const retry = retryPage(error, tokenOf(request), formPage)
  if (retry) return retry
  return typeof error.detail !== 'string' || error.detail === InvalidToken.detail ? deadLink : faultPage
}

const deadLink = deadLinkPage(
  'If you confirmed your address before, there is nothing to do. If not, ask for another mail where you sign in.',
)
