import type { FastifyRequest } from 'fastify'
import { ServiceUnavailable, TooManyRequests } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { ErrorBody, WebPage } from '../../http/pages/web-page.ts'

/** The token of the form that was sent, or of the link that was opened; undefined where there is none. */
export function tokenOf({ body, query }: FastifyRequest): string | undefined {
  const { token } = { ...(query as object), ...(body as object) } as { token?: unknown }
  return typeof token === 'string' && token !== '' ? token : undefined
}

function passingFault({ detail }: ErrorBody): string | undefined {
  if (detail === TooManyRequests.detail) return 'There were too many tries. Wait a moment, and try again.'
  if (detail === ServiceUnavailable.detail) return 'The service is busy. Wait a moment, and try again.'
  return undefined
}

/** Where the form was not even read. */
const waitPage = (fault: string): WebPage => ({
  title: 'Wait a moment',
  main: html`<h1>Wait a moment</h1>
    <p>${fault}</p>
    <p>Go back and send the form again, or open the link of the mail again.</p>`,
})

/**
 * Where the same may work in a moment: the form again, if it is known what was sent. Undefined where it will not work.
 *
 * @param formPage the form with an error
 */
export function passingPage(
  error: ErrorBody,
  token: string | undefined,
  formPage: (token: string, error: string) => WebPage,
): WebPage | undefined {
  const fault = passingFault(error)
  if (fault === undefined) return undefined
  return token === undefined ? waitPage(fault) : formPage(token, fault)
}

export const somethingElse: WebPage = {
  title: 'Something went wrong',
  main: html`<h1>Something went wrong</h1>
    <p>It is not your fault. Open the link of the mail again in a moment.</p>`,
}
