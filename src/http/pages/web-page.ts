import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App, ValidationError } from '../../contract/contract.ts'
import { themeOf } from '../../text/theme.ts'
import { type WebPage, layout } from './layout.ts'
import { stylesheet } from './stylesheet.ts'

/** The body of an error, as http/errors.ts sends it. */
export interface ErrorBody {
  readonly detail: string | readonly ValidationError[]
  readonly code: string
}

/** A Content-Security-Policy, by directive. */
type Policy = Readonly<Record<string, string>>

/** Nothing is loaded or run, forms post to this origin, and no page may frame it. */
const POLICY = {
  'default-src': "'none'",
  'style-src': "'none'",
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
  errorPage: (error: ErrorBody, request: FastifyRequest) => WebPage | Promise<WebPage>,
  more: Policy = {},
): void {
  const { config } = app
  const style = stylesheet(themeOf(config.PROJECT_COLOR))
  const policy = { ...POLICY, 'style-src': hashOf(style), ...logoPolicy(config), ...more }
  app.addHook('preSerialization', async (request, reply, payload) => {
    const page = isError(payload) ? await errorPage(payload, request) : (payload as WebPage)
    const { script } = page
    protect(reply, policyText(script === undefined ? policy : { ...policy, 'script-src': hashOf(script) }))
    reply.serializer(String)
    return layout(config, style, page)
  })
}

/** A source of a policy: exactly this text (CSP 3, 2.3.1). */
export const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** For whatever shows the logo: its origin, where there is one. */
export const logoPolicy = ({ PROJECT_LOGO_URL: logo }: Pick<Config, 'PROJECT_LOGO_URL'>): Policy =>
  logo === undefined ? {} : { 'img-src': new URL(logo).origin }

/** As it stands in the header. */
export const policyText = (policy: Policy) =>
  Object.entries(policy)
    .map(([directive, value]) => `${directive} ${value}`)
    .join(';')

/** Headers of a page: no cache keeps it, no other origin reads it. */
export const protect = (reply: FastifyReply, policy: string): FastifyReply =>
  protectFile(reply.type('text/html; charset=utf-8'), policy)

/** The same, whatever its type is. */
export function protectFile(reply: FastifyReply, policy: string): FastifyReply {
  for (const name of Object.keys(reply.getHeaders()))
    if (name.startsWith('access-control-')) reply.removeHeader(name)
  return reply.headers({
    'cache-control': 'no-store',
    'content-security-policy': policy,
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
  })
}

const isError = (payload: unknown): payload is ErrorBody =>
  typeof payload === 'object' && payload !== null && 'detail' in payload
