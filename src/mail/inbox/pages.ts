import { InvalidToken } from '../../contract/errors.ts'
import { type Html, html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import type { ErrorBody } from '../../http/pages/web-page.ts'
import { hasDeadLink } from '../messages.ts'
import type { OutboxMail } from '../outbox.ts'
import type { RenderedMail } from '../templates.ts'
import { refreshScript } from './refresh.ts'

export interface MailHeaders {
  readonly from: string
  readonly messageId: string
  readonly subject: string
}

interface List {
  /** Path of the inbox in the browser. */
  readonly path: string
  /** What was searched for; empty where nothing was. */
  readonly q: string
  readonly mails: readonly Listed[]
  /** Token of the form that deletes all mails. */
  readonly token: string
}

interface Listed {
  readonly mail: OutboxMail
  readonly subject: string
}

export const listPage = ({ path, q, mails, token }: List): WebPage => ({
  title: 'Inbox',
  wide: true,
  script: refreshScript,
  main: html`<h1>Inbox</h1>
    <p class="note">
      SMTP_HOST is not set, so mails are shown here instead of being sent. Newest first; new ones appear by
      themselves.
    </p>
    <div class="bar">
      <form action="${path}" role="search">
        <input
          name="q"
          type="search"
          value="${q}"
          maxlength="255"
          placeholder="Recipient or subject"
          aria-label="Recipient or subject"
        />
        <button>Search</button>
      </form>
      <form method="post" action="${path}/clear">
        <input type="hidden" name="token" value="${token}" />
        <button class="quiet">Delete all mails</button>
      </form>
    </div>
    <div id="mails">${listOf(path, q, mails)}</div>`,
})

function listOf(path: string, q: string, mails: readonly Listed[]): Html {
  if (mails.length > 0)
    return html`<ul class="mails">
      ${mails.map((mail) => listed(path, mail))}
    </ul>`
  if (q === '') return html`<p class="card">Nothing was sent yet.</p>`
  return html`<p class="card">No recipient or subject has “${q}”. <a href="${path}">Show all mails</a></p>`
}

const listed = (path: string, { mail, subject }: Listed) =>
  html`<li>
    <a href="${path}/${mail.id}"
      ><strong>${subject}</strong> ${time(mail.created_at)}
      <span>to ${mail.recipient}${hasDeadLink(mail) && ' · its link no longer works'}</span></a
    >
  </li>`

/** @param inbox path of the inbox in the browser */
export const mailPage = (
  inbox: string,
  mail: OutboxMail,
  { from, messageId, subject }: MailHeaders,
  { text }: RenderedMail,
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
      <dd>${mail.recipient}</dd>
      <dt>Subject</dt>
      <dd>${subject}</dd>
      <dt>Date</dt>
      <dd>${time(mail.created_at)}</dd>
      <dt>Message-ID</dt>
      <dd>${messageId}</dd>
    </dl>
    ${hasDeadLink(mail) && deadLink}
    <h2>HTML</h2>
    <iframe
      src="${inbox}/${mail.id}/html"
      title="The mail's HTML part"
      sandbox="allow-popups allow-popups-to-escape-sandbox"
    ></iframe>
    <h2>Text</h2>
    <pre class="card" tabindex="0">${linked(text)}</pre>`,
})

const deadLink = html`<p class="card dead">
  Its link was used or revoked, or has expired. Links are not stored, so the mail is shown without it.
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
  const text = typeof detail === 'string' ? detail : 'This address can’t be read'
  const title = text === InvalidToken.detail ? 'Go back to the inbox, reload it, and try again' : text
  return { title, main: html`<h1>${title}</h1>` }
}
