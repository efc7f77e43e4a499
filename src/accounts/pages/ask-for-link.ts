import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { type App, KnownEmail } from '../../contract/contract.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import { recoverPassword } from '../recovery/recover-password.ts'
import { resendVerification } from '../address/verify-email.ts'
import { faultPage, passingError } from './mailed-link.ts'

/** /recover-password: asking for a link to choose a password. Dead links and mails about security lead here. */
export const recoverPasswordPage = (app: App) =>
  askingPage(app, '/recover-password', recoverPassword(app), {
    title: 'Reset your password',
    about: 'We send you a link to choose a new password.',
    done: 'If an account has that address, we sent it a link to choose a new password.',
  })

/** /verify-email/resend: asking for another link to confirm an address. */
export const resendVerificationPage = (app: App) =>
  askingPage(app, '/verify-email/resend', resendVerification(app), {
    title: 'Confirm your address',
    about: 'We send you another link to confirm the address of your account.',
    done: 'If an account has that address and it is not confirmed yet, we sent it a link.',
  })

interface Texts {
  readonly title: string
  readonly about: string
  /** The same whether there is such an account or not. */
  readonly done: string
}

const AskingForm = Type.Object({ email: KnownEmail })

/** @param ask queues the mail: answers alike, and in the same time, for every address */
function askingPage(
  app: App,
  path: string,
  ask: (email: string, request: FastifyRequest) => Promise<void>,
  texts: Texts,
): void {
  answerWithPages(app, (error, { body }) => {
    const message = messageOf(error)
    return message === undefined ? faultPage : formPage(texts, { email: emailIn(body), error: message })
  })

  app.get(path, { schema: { hide: true } }, () => formPage(texts, {}))

  const schema = { hide: true, consumes: ['application/x-www-form-urlencoded'], body: AskingForm }
  const config = { limit: 'mail_network', refusesLate: true } as const
  app.post(path, { schema, config }, async (request) => {
    await ask(request.body.email, request)
    return donePage(app.config, texts)
  })
}

const messageOf = (error: ErrorBody) =>
  typeof error.detail === 'string' ? passingError(error) : 'Enter an email address, such as ada@example.com.'

/** What was typed, so that it can be corrected. */
function emailIn(body: unknown): string {
  const { email } = { ...(body as object) } as { email?: unknown }
  return typeof email === 'string' ? email : ''
}

const formPage = (
  { title, about }: Texts,
  { email = '', error }: { email?: string; error?: string },
): WebPage => ({
  title: error === undefined ? title : `Error: ${title}`,
  main: html`<h1>${title}</h1>
    <p>${about}</p>
    <form method="post" action="?" novalidate>
      <label for="email">Email address</label>
      ${error !== undefined && html`<p class="error" id="error" role="alert">${error}</p>`}
      <input
        id="email"
        name="email"
        type="email"
        value="${email}"
        autocomplete="username"
        autofocus
        ${error !== undefined && html`aria-describedby="error" aria-invalid="true"`}
      />
      <button>Send link</button>
    </form>`,
})

const donePage = ({ mail, publicPath }: Config, { done }: Texts): WebPage => ({
  title: 'Look into your mailbox',
  main: html`<h1>Look into your mailbox</h1>
    <p>${done} It may take some minutes. If nothing comes, look among unwanted mails, too.</p>
    ${mail === 'inbox' && html`<p><a class="button" href="${publicPath}/inbox">Open the inbox</a></p>`}`,
})
