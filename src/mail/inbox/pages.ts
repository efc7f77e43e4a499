import { type Html, html } from '../../http/pages/html.ts'
import type { ErrorBody, WebPage } from '../../http/pages/web-page.ts'
import type { OutboxMail } from '../outbox.ts'
import type { RenderedMail } from '../templates.ts'

export interface MailHeaders {
  readonly from: string
  readonly messageId: string
  readonly subject: string
}

/** @param inbox path of the inbox in the browser */
export const listPage = (inbox: string, mails: readonly Listed[]): WebPage => ({
  title: 'Inbox',
  wide: true,
  main: html`<h1>Inbox</h1>
    <p class="note">
      SMTP_HOST is not set, so mails are shown here instead of being sent. Newest first; reload the page for
      new ones.
    </p>
    ${
      mails.length === 0
        ? html`<p class="card">Nothing was sent yet.</p>`
        : html`<ul class="mails">
            ${mails.map((mail) => listed(inbox, mail))}
          </ul>`
    }`,
})

interface Listed {
  readonly mail: OutboxMail
  readonly subject: string
}

const listed = (
  inbox: string,
  { mail: { id, recipient, created_at, token_id, valid_until }, subject }: Listed,
) =>
  html`<li>
    <a href="${inbox}/${id}"
      ><strong>${subject}</strong> ${time(created_at)}
      <span
        >to ${recipient}${token_id !== null && valid_until === null && ' · its link no longer works'}</span
      ></a
    >
  </li>`

/**
 * @param inbox path of the inbox in the browser
 * @param mail undefined where its link no longer works: it can't be composed then
 */
export const mailPage = (
  inbox: string,
  { id, recipient, created_at }: OutboxMail,
  { from, messageId, subject }: MailHeaders,
  mail: RenderedMail | undefined,
): WebPage => ({
  title: subject,
  wide: true,
  main: html`<p>
      <a href="${inbox}"><span aria-hidden="true">← </span>Inbox</a>
    </p>
    <h1>${subject}</h1>
    <dl class="card">
      <dt>From</dt>
      <dd>${from}</dd>
      <dt>To</dt>
      <dd>${recipient}</dd>
      <dt>Subject</dt>
      <dd>${subject}</dd>
      <dt>Date</dt>
      <dd>${time(created_at)}</dd>
      <dt>Message-ID</dt>
      <dd>${messageId}</dd>
    </dl>
    ${mail ? parts(`${inbox}/${id}/html`, mail) : deadLink}`,
})

const parts = (htmlPath: string, { text }: RenderedMail) =>
  html`<h2>HTML</h2>
    <iframe
      src="${htmlPath}"
      title="The mail's HTML part"
      sandbox="allow-popups allow-popups-to-escape-sandbox"
    ></iframe>
    <h2>Text</h2>
    <pre class="card" tabindex="0">${linked(text)}</pre>`

const deadLink = html`<p class="card dead">
  Its link was used or revoked, or has expired. Links are not stored, so the mail can no longer be shown.
</p>`

/** Makes links of the URLs in a text. */
const linked = (text: string): Html[] =>
  text
    .split(/(https?:\/\/\S+)/)
    .map((part, index) => (index % 2 === 1 ? html`<a href="${part}">${part}</a>` : html`${part}`))

const style = { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' } as const

const time = (at: Date) =>
  html`<time datetime="${at.toISOString()}">${at.toLocaleString('en-GB', style)} UTC</time>`

export function errorPage({ detail }: ErrorBody): WebPage {
  const title = typeof detail === 'string' ? detail : 'This is not the address of a mail'
  return { title, main: html`<h1>${title}</h1>` }
}
