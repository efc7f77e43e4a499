import type { FastifyRequest } from 'fastify'
import { ServiceUnavailable, TooManyRequests } from '../../errors.ts'
import { html } from '../../html.ts'
import type { ErrorBody, WebPage } from '../../web-page.ts'

/** The token of the form that was sent, or of the link that was opened; undefined where there is none. */
export function tokenOf({ body, query }: FastifyRequest): string | undefined {
  const { token } = { ...(query as object), ...(body as object) } as { token?: unknown }
  return typeof token === 'string' && token !== '' ? token : undefined
}

/** What to say where the same form may work in a moment; undefined where it will not. */
export function passingFault({ detail }: ErrorBody): string | undefined {
  if (detail === TooManyRequests.detail) return 'There were too many tries. Wait a moment, and try again.'
  if (detail === ServiceUnavailable.detail) return 'The service is busy. Wait a moment, and try again.'
  return undefined
}

export const somethingElse: WebPage = {
  title: 'Something went wrong',
  main: html`<h1>Something went wrong</h1>
    <p>It is not your fault. Open the link of the mail again in a moment.</p>`,
}
