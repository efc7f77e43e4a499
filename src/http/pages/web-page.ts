import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App, ValidationError } from '../../contract/contract.ts'
import { Html, html } from './html.ts'
import { stylesheet } from './stylesheet.ts'

/** Content of a page. Handlers return one; `answerWithPages` renders it. */
export interface WebPage {
  readonly title: string
  readonly main: Html
  /** For lists and tables. */
  readonly wide?: boolean
}

/** The body of an error, as http/errors.ts sends it. */
export interface ErrorBody {
  readonly detail: string | readonly ValidationError[]
  readonly code: string
}

/** A Content-Security-Policy, by directive. */
type Policy = Readonly<Record<string, string>>

/** The exact text of which the policy has the hash. */
const style = new Html(`<style>${stylesheet}</style>`)
const styleHash = createHash('sha256').update(stylesheet).digest('base64')

/** Nothing is loaded or run, forms post to this origin, and no page may frame it. */
const POLICY = {
  'default-src': "'none'",
  'style-src': `'sha256-${styleHash}'`,
  'form-action': "'self'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
}

/**
 * Renders what the handlers of `app` return as HTML pages, and errors too.
 *
 * @param errorPage says an error in human words; its status stays that of the contract
 * @param more of the policy that the pages need
 */
export function answerWithPages(
  app: App,
  errorPage: (error: ErrorBody, request: FastifyRequest) => WebPage,
  more: Policy = {},
): void {
  app.addHook('preSerialization', (request, reply, payload, next) => {
    const page = isError(payload) ? errorPage(payload, request) : (payload as WebPage)
    protect(reply, { ...POLICY, ...more }).serializer(String)
    next(null, layout(app.config.PROJECT_NAME, page))
  })
}

/** Headers of a page: no cache keeps it, no other origin reads it. */
export function protect(reply: FastifyReply, policy: Policy): FastifyReply {
  for (const name of Object.keys(reply.getHeaders()))
    if (name.startsWith('access-control-')) reply.removeHeader(name)
  return reply.type('text/html; charset=utf-8').headers({
    'cache-control': 'no-store',
    'content-security-policy': Object.entries(policy)
      .map(([directive, value]) => `${directive} ${value}`)
      .join(';'),
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
  })
}

const isError = (payload: unknown): payload is ErrorBody =>
  typeof payload === 'object' && payload !== null && 'detail' in payload

const layout = (project: string, { title, main, wide = false }: WebPage) =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · ${project}</title>
        ${style}
      </head>
      <body class="${wide ? 'wide' : 'narrow'}">
        <header>${project}</header>
        <main>${main}</main>
      </body>
    </html> `
