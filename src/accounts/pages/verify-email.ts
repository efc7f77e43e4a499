import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App } from '../../contract/contract.ts'
import { InvalidToken } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import { verifyEmail } from '../address/verify-email.ts'
import {
  deadLinkPage,
  faultPage,
  formRoute,
  linkRoute,
  retryPage,
  signInNext,
  tokenOf,
} from './mailed-link.ts'

/** /verify-email: confirming an address. */
export function verifyEmailPage(app: App) {
  const { config } = app
  const { oneTimeTokens } = app.auth
  const verify = verifyEmail(app)
  answerWithPages(app, errorPage)

  app.get('/verify-email', linkRoute, async ({ query: { token } }) => {
    const found = await oneTimeTokens.find('verify_email', token)
    if (!found) throw new InvalidToken()
    return formPage(token, found)
  })

  app.post('/verify-email', formRoute(VerifyEmailForm), async (request) =>
    donePage(config, await verify(request.body.token, request)),
  )

  function errorPage(error: ErrorBody, request: FastifyRequest): WebPage {
    const retry = retryPage(error, tokenOf(request), formPage)
    if (retry) return retry
    return typeof error.detail !== 'string' || error.detail === InvalidToken.detail
      ? deadLink(config)
      : faultPage
  }
}

const VerifyEmailForm = Type.Object({ token: Type.String() })

interface About {
  /** Whose account it is. */
  readonly email?: string
  readonly error?: string
}

const formPage = (token: string, { email, error }: About): WebPage => ({
  title: error === undefined ? 'Confirm your address' : 'Error: confirm your address',
  main: html`<h1>Confirm your address</h1>
    ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
    <p>
      ${email !== undefined && html`There is an account with the address <strong>${email}</strong>.`} Confirm
      it only if the account is yours.
    </p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
      <button>Confirm address</button>
    </form>`,
})

const donePage = (config: Config, email: string): WebPage => ({
  title: 'Your address is confirmed',
  main: html`<h1>Your address is confirmed</h1>
    <p>Thank you. <strong>${email}</strong> is the address of your account.</p>
    ${signInNext(config)}`,
})

const deadLink = ({ publicPath }: Config) =>
  deadLinkPage(
    html`<p>If you confirmed your address before, there is nothing to do. If not, ask for another mail.</p>
      <p><a class="button" href="${publicPath}/verify-email/resend">Ask for another mail</a></p>`,
  )
