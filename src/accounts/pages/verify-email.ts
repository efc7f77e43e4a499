import type { FastifyRequest } from 'fastify'
import { html } from '../../http/pages/html.ts'
import type { ErrorBody, WebPage } from '../../http/pages/web-page.ts'
import { passingPage, somethingElse, tokenOf } from './errors.ts'
import { InvalidToken } from '../../contract/errors.ts'

/** Confirming a mail address. */

export const formPage = (token: string, error?: string): WebPage => ({
  title: error === undefined ? 'Confirm your address' : 'Error: confirm your address',
  main: html`<h1>Confirm your address</h1>
    ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
    <p>Do so only if the account is yours.</p>
    <form method="post" action="?">
      <input type="hidden" name="token" value="${token}" />
      <button>Confirm address</button>
    </form>`,
})

export const donePage: WebPage = {
  title: 'Your address is confirmed',
  main: html`<h1>Your address is confirmed</h1>
    <p>Thank you. You can close this page.</p>`,
}

export function errorPage(error: ErrorBody, request: FastifyRequest): WebPage {
  const passing = passingPage(error, tokenOf(request), formPage)
  if (passing) return passing
  return typeof error.detail !== 'string' || error.detail === InvalidToken.detail ? deadLink : somethingElse
}

const deadLink: WebPage = {
  title: 'This link no longer works',
  main: html`<h1>This link no longer works</h1>
    <p>It was used already, it expired, or it is not whole.</p>
    <p>
      If you confirmed your address before, there is nothing to do. If not, ask for another mail where you
      sign in.
    </p>`,
}
