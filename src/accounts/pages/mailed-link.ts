import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { ServiceUnavailable, TooManyRequests } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { ErrorBody, WebPage } from '../../http/pages/web-page.ts'

/**
 * What the pages share that mailed links lead to without a frontend. Opening a link changes nothing, as mail programs and
 * scanners open links too; only the form does, by the same function as the API. The token is the authority: there is no
 * cookie that another site could use.
 */

/** Route of a page that is opened by its link. Without a token it is answered as with a wrong one. */
export const linkRoute = {
  schema: { hide: true, querystring: Type.Object({ token: Type.String({ default: '' }) }) },
}

/** Route of a form, as browsers send it. Nobody can guess a token (256 bits), so it needs no limit. */
export const formRoute = <Body extends TObject>(body: Body) =>
  ({
    schema: { hide: true, consumes: ['application/x-www-form-urlencoded'], body },
    config: { limit: false },
  }) as const

/** The token of the form that was sent, or of the link that was opened; undefined where there is none. */
export function tokenOf({ body, query }: FastifyRequest): string | undefined {
  const { token } = { ...(query as object), ...(body as object) } as { token?: unknown }
  return typeof token === 'string' && token !== '' ? token : undefined
}

/**
 * The page of an error that passes: the form again, with its token, or where that is not known what to do. Undefined where
 * trying again will not help.
 *
 * @param formPage the form with an error
 */
export function retryPage(
  { detail }: ErrorBody,
  token: string | undefined,
  formPage: (token: string, error: string) => WebPage,
): WebPage | undefined {
  const message = typeof detail === 'string' ? passing[detail] : undefined
  if (message === undefined) return undefined
  return token === undefined ? waitPage(message) : formPage(token, message)
}

const passing: Record<string, string> = {
  [TooManyRequests.detail]: 'There were too many tries. Wait a moment, and try again.',
  [ServiceUnavailable.detail]: 'The service is busy. Wait a moment, and try again.',
}

/** For a request that was refused before its body was read. */
const waitPage = (message: string): WebPage => ({
  title: 'Wait a moment',
  main: html`<h1>Wait a moment</h1>
    <p>${message}</p>
    <p>Go back and send the form again, or open the link of the mail again.</p>`,
})

/** @param help how to get a link that works */
export const deadLinkPage = (help: string): WebPage => ({
  title: 'This link no longer works',
  main: html`<h1>This link no longer works</h1>
    <p>It was already used, has expired, or is incomplete.</p>
    <p>${help}</p>`,
})

export const faultPage: WebPage = {
  title: 'Something went wrong',
  main: html`<h1>Something went wrong</h1>
    <p>It is not your fault. Open the link of the mail again in a moment.</p>`,
}
