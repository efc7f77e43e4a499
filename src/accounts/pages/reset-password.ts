import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { type App, NewPasswordText } from '../../contract/contract.ts'
import { InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import { resetPassword } from '../recovery/reset-password.ts'
import {
  deactivatedPage,
  deadLinkPage,
  faultPage,
  formRoute,
  linkRoute,
  retryPage,
  signInNext,
  tokenOf,
} from './mailed-link.ts'
import { showPasswordButton, showPasswordScript } from './show-password.ts'

/** /reset-password: choosing a password, after a recovery or before the first sign-in. */
export function resetPasswordPage(app: App) {
  const { config } = app
  const { oneTimeTokens } = app.auth
  const reset = resetPassword(app)
  answerWithPages(app, errorPage)

  app.get('/reset-password', linkRoute, async ({ query: { token } }) => {
    const found = await oneTimeTokens.find('reset_password', token)
    if (!found) throw new InvalidToken()
    if (!found.user_is_active) throw new InactiveUser()
    return formPage(token, found)
  })

  app.post('/reset-password', formRoute(ResetPasswordForm), async (request, reply) =>
    donePage(config, await reset(request.body, request, reply)),
  )

  async function errorPage(body: ErrorBody, request: FastifyRequest): Promise<WebPage> {
    const { detail } = body
    const token = tokenOf(request)
    const retry = retryPage(body, token, formPage)
    if (retry) return retry
    if (detail === InactiveUser.detail) return deactivatedPage
    if (token === undefined || detail === InvalidToken.detail) return deadLink(config)
    if (typeof detail === 'string') return faultPage
    const fault = detail.find(({ loc }) => loc[1] === 'new_password')
    if (!fault) return deadLink(config)
    // Only the password was looked at. Where the database is away, the form has to do without the address.
    const found = await oneTimeTokens.find('reset_password', token).catch(() => ({ email: undefined }))
    const message = passwordFaults[fault.type] ?? fault.msg
    return found ? formPage(token, { email: found.email, error: message }) : deadLink(config)
  }
}

const ResetPasswordForm = Type.Object({ token: Type.String(), new_password: NewPasswordText })

interface About {
  /** Whose account it is. */
  readonly email?: string | undefined
  /** What was wrong with the password that was sent. */
  readonly error?: string
}

const formPage = (token: string, { email, error }: About): WebPage => ({
  title: error === undefined ? 'Choose a password' : 'Error: choose a password',
  script: showPasswordScript,
  main: html`<h1>Choose a password</h1>
    <p>You will sign in with it. All devices that are signed in to your account will be signed out.</p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
      ${email !== undefined && account(email)}
      <label for="new_password">New password</label>
      <p class="hint" id="hint">8 to 128 characters. A few words that nobody would guess are good.</p>
      ${error !== undefined && html`<p class="error" id="error" role="alert">${error}</p>`}
      <input
        id="new_password"
        name="new_password"
        type="password"
        autocomplete="new-password"
        autofocus
        ${
          error === undefined
            ? html`aria-describedby="hint"`
            : html`aria-describedby="error hint" aria-invalid="true"`
        }
      />
      ${showPasswordButton}
      <button>Save password</button>
    </form>`,
})

/** A field, so that password managers know whose password it is. */
const account = (email: string) =>
  html`<label for="username">Account</label>
    <input id="username" name="username" value="${email}" autocomplete="username" readonly />`

const donePage = (config: Config, email: string): WebPage => ({
  title: 'Your password was changed',
  main: html`<h1>Your password was changed</h1>
    <p>Sign in to <strong>${email}</strong> with the new one.</p>
    ${signInNext(config)}`,
})

/** Validation errors of a password, by type, for people. */
const passwordFaults: Record<string, string> = {
  missing: 'Enter a password.',
  string_too_short: 'This password is too short. Use 8 characters or more.',
  string_too_long: 'This password is too long. Use 128 characters at most.',
  string_unicode: 'This password has a character that can’t be used. Choose another.',
  common_password: 'This password is among the most common ones, and easily guessed. Choose another.',
}

const deadLink = ({ publicPath }: Config) =>
  deadLinkPage(
    html`<p>Ask for a password recovery again. The link in the new mail will work.</p>
      <p><a class="button" href="${publicPath}/recover-password">Ask for a new link</a></p>`,
  )
