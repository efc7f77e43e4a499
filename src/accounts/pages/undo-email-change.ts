import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App } from '../../contract/contract.ts'
import { EmailTakenAtChange, InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import { findEmailChange, undoEmailChange } from '../address/undo-email-change.ts'
import {
  deadLinkPage,
  deactivatedPage,
  faultPage,
  formRoute,
  linkRoute,
  retryPage,
  tokenOf,
} from './mailed-link.ts'

/** /undo-email-change: taking a change of address back, from the address before. */
export function undoEmailChangePage(app: App) {
  const find = findEmailChange(app)
  const undo = undoEmailChange(app)
  answerWithPages(app, (error, request) => errorPage(app.config, error, request))

  app.get('/undo-email-change', linkRoute, async ({ query: { token } }) => {
    const found = await find(token)
    if (!found) throw new InvalidToken()
    if (!found.user_is_active) throw new InactiveUser()
    return formPage(token, found)
  })

  app.post('/undo-email-change', formRoute(UndoForm), async (request) =>
    donePage(app.config, await undo(request.body.token, request)),
  )
}

function errorPage(config: Config, error: ErrorBody, request: FastifyRequest): WebPage {
  const { detail } = error
  const retry = retryPage(error, tokenOf(request), formPage)
  if (retry) return retry
  if (detail === InactiveUser.detail) return deactivatedPage
  if (detail === EmailTakenAtChange.detail) return takenPage(config)
  return typeof detail !== 'string' || detail === InvalidToken.detail ? deadLink : faultPage
}

const UndoForm = Type.Object({ token: Type.String() })

interface About {
  /** The address before. */
  readonly email?: string
  readonly error?: string
}

const formPage = (token: string, { email, error }: About): WebPage => ({
  title: error === undefined ? 'Take back the change of address' : 'Error: take back the change of address',
  main: html`<h1>Take back the change of address</h1>
    ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
    <p>
      ${
        email === undefined
          ? html`Your account gets the address back that it had.`
          : html`Your account gets the address <strong>${email}</strong> back.`
      }
      All devices are signed out, the password stops working, and we send you a link to choose a new one.
    </p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
      <button>Restore address</button>
    </form>`,
})

const donePage = ({ mail, publicPath }: Config, email: string): WebPage => ({
  title: 'Your address is restored',
  main: html`<h1>Your address is restored</h1>
    <p><strong>${email}</strong> is the address of your account again. Everybody is signed out.</p>
    <p>We sent you a link to choose a new password. The old one no longer works.</p>
    ${mail === 'inbox' && html`<p><a class="button" href="${publicPath}/inbox">Open the inbox</a></p>`}`,
})

const deadLink = deadLinkPage(
  html`<p>
    A change of address can be taken back for three days, and once. After that, ask those who run the service.
  </p>`,
)

const takenPage = ({ publicPath }: Config): WebPage => ({
  title: 'This address is in use',
  main: html`<h1>This address is in use</h1>
    <p>
      Another account has it by now. As the mailbox is yours, you can choose a password for that account, sign
      in to it and delete it or give it another address. Then open the link of the mail again.
    </p>
    <p><a class="button" href="${publicPath}/recover-password">Choose a password for it</a></p>`,
})
