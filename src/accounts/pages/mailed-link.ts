import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { ServiceUnavailable, TooManyRequests } from '../../contract/errors.ts'
import { type Html, html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import type { ErrorBody } from '../../http/pages/web-page.ts'

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

/** What a reader is told of an error that passes; undefined where trying again will not help. */
export const passingError = ({ detail }: ErrorBody): string | undefined =>
  typeof detail === 'string' ? passing[detail] : undefined

const passing: Record<string, string> = {
  [TooManyRequests.detail]: 'There were too many tries. Wait a moment, and try again.',
  [ServiceUnavailable.detail]: 'The service is busy. Wait a moment, and try again.',
}

/**
 * The page of an error that passes: the form again, with its token, or where that is not known what to do. Undefined where
 * trying again will not help.
 *
 * @param formPage the form with an error. Whose account it is has to be left out: that would take the busy service a query
 */
export function retryPage(
  error: ErrorBody,
  token: string | undefined,
  formPage: (token: string, about: { error: string }) => WebPage,
): WebPage | undefined {
  const message = passingError(error)
  if (message === undefined) return undefined
  return token === undefined ? waitPage(message) : formPage(token, { error: message })
}

/** For a request that was refused before its body was read. */
const waitPage = (message: string): WebPage => ({
  title: 'Wait a moment',
  main: html`<h1>Wait a moment</h1>
    <p>${message}</p>
    <p>Go back and send the form again, or open the link of the mail again.</p>`,
})

/** @param help how to get a link that works */
export const deadLinkPage = (help: Html): WebPage => ({
  title: 'This link no longer works',
  main: html`<h1>This link no longer works</h1>
    <p>It was already used, has expired, or is incomplete.</p>
    ${help}`,
})

export const deactivatedPage: WebPage = {
  title: 'This account is deactivated',
  main: html`<h1>This account is deactivated</h1>
    <p>It can’t be changed. Ask those who run the service.</p>`,
}

export const faultPage: WebPage = {
  title: 'Something went wrong',
  main: html`<h1>Something went wrong</h1>
    <p>It is not your fault. Try again in a moment.</p>`,
}

/** Where whoever is done goes on to. The service has no page to sign in at; in local, Swagger UI is one. */
export const signInNext = ({ ENVIRONMENT, DOCS_ENABLED, PROJECT_NAME, publicPath }: Config): Html =>
  ENVIRONMENT === 'local' && DOCS_ENABLED
    ? html`<p><a class="button" href="${publicPath}/docs">Go on to sign in</a></p>`
    : html`<p>You can close this page, and sign in where you use ${PROJECT_NAME}.</p>`
