import type { Config } from '../../config/config.ts'
import { mailtoOf } from '../../text/email-address.ts'
import { Html, html } from './html.ts'

/** Content of a page. Handlers return one; `answerWithPages` renders it. */
export interface WebPage {
  readonly title: string
  readonly main: Html
  /** For lists and tables. */
  readonly wide?: boolean
  /** Runs at the end of the page. A constant of the code, as nothing in it is escaped; pages have to work without it. */
  readonly script?: string
}

export type LayoutConfig = Pick<
  Config,
  'PROJECT_NAME' | 'PROJECT_LOGO_URL' | 'PROJECT_COLOR' | 'SUPPORT_EMAIL' | 'publicPath'
>

/** @param style of which the policy has the hash */
export const layout = (config: LayoutConfig, style: string, { title, main, wide, script }: WebPage): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · ${config.PROJECT_NAME}</title>
        ${new Html(`<style>${style}</style>`)}
      </head>
      <body class="${wide ? 'wide' : 'narrow'}">
        <header>${nameOf(config)}</header>
        <main>${main}</main>
        ${config.SUPPORT_EMAIL !== undefined && contact(config.SUPPORT_EMAIL)}
        ${script !== undefined && new Html(`<script>${script}</script>`)}
      </body>
    </html> `

const nameOf = ({ PROJECT_NAME: name, PROJECT_LOGO_URL: logo }: LayoutConfig) =>
  logo === undefined ? name : html`<img src="${logo}" alt="${name}" height="40" />`

const contact = (address: string) =>
  html`<footer class="note">
    Do you need help? Write to <a href="${mailtoOf(address)}">${address}</a>.
  </footer>`
