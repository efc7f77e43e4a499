import type { FastifyRequest } from 'fastify'
import { InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { ErrorBody, WebPage } from '../../http/pages/web-page.ts'
import { passingPage, somethingElse, tokenOf } from './errors.ts'

/** Choosing a password: after a recovery, or for a first sign-in. */

/** @param error what was wrong with the password that was sent */
export const formPage = (token: string, error?: string): WebPage => ({
  title: error === undefined ? 'Choose a password' : 'Error: choose a password',
  main: html`<h1>Choose a password</h1>
    <p>You sign in with it from now on. Everybody who is signed in to your account is signed out.</p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
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
      <button>Save password</button>
    </form>`,
})

export const donePage: WebPage = {
  title: 'Your password was changed',
  main: html`<h1>Your password was changed</h1>
    <p>Sign in with the new one. You can close this page.</p>`,
}

export function errorPage(error: ErrorBody, request: FastifyRequest): WebPage {
  const { detail } = error
  const token = tokenOf(request)
  const passing = passingPage(error, token, formPage)
  if (passing) return passing
  if (detail === InactiveUser.detail) return inactive
  if (token === undefined || detail === InvalidToken.detail) return deadLink
  if (typeof detail === 'string') return somethingElse
  const fault = detail.find(({ loc }) => loc[1] === 'new_password')
  return fault ? formPage(token, words[fault.type] ?? fault.msg) : deadLink
}

/** The API's faults of a password, as a person is told. */
const words: Record<string, string> = {
  missing: 'Enter a password.',
  string_too_short: 'This password is too short. Use 8 characters or more.',
  string_too_long: 'This password is too long. Use 128 characters at most.',
  string_unicode: 'This password has a character that can’t be used. Choose another.',
  common_password: 'This password is among the most common ones, and easily guessed. Choose another.',
}

const deadLink: WebPage = {
  title: 'This link no longer works',
  main: html`<h1>This link no longer works</h1>
    <p>It was used already, it expired, or it is not whole.</p>
    <p>
      Ask for a password recovery again where you sign in. The mail that comes then has a link that works.
    </p>`,
}

const inactive: WebPage = {
  title: 'This account is switched off',
  main: html`<h1>This account is switched off</h1>
    <p>Its password can’t be changed. Ask those who run the service.</p>`,
}
