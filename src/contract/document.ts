import { STATUS_CODES } from 'node:http'
import type { TObject } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import {
  API_KEY_SCHEME,
  HTTPError,
  HTTPValidationError,
  SECURITY_SCHEME,
  SecondFactorAnswer,
} from './contract.ts'
import {
  type ApiErrorKind,
  InternalServerError,
  NotEnoughPrivileges,
  UnreadableBody,
  PayloadTooLarge,
  RecentSignInRequired,
  SecondFactorRequired,
  ServiceUnavailable,
  TooManyRequests,
  UnsupportedMediaType,
} from './errors.ts'

/** The parts of openapi.json that are not in routes' schemas: its description, tags, and the answers of each operation. */

export const description = `The backend that a product starts from: accounts, sessions, mail, and resources that belong to their owners.

**Try it:** press *Authorize*, enter an address and a password, then *Try it out* on any operation.

**Signing in** gives an access token for the \`Authorization: Bearer\` header. It stops working the moment its session ends.

**Errors** are \`{"detail": "…", "code": "…"}\`: a text for people and a stable name for programs, both part of this contract. Where an input does not fit its schema, \`code\` is \`validation_error\` and \`detail\` is a list with an entry for each fault. Every answer carries an \`X-Request-Id\`: quote it when you report a problem.

**Lists** are newest first where \`sort\` says nothing else, and \`q\` searches them. \`count\` is the number of rows on all pages together. Go on with \`next_cursor\`, which neither repeats nor loses a row while others come and go, or take any page with \`skip\` and \`limit\`.`

export interface Tag {
  readonly name: string
  readonly description: string
}

/** Groups of operations, in their order. @param resources groups of the resources, which stand after the accounts */
export const tagsWith = (resources: readonly Tag[]): readonly Tag[] => [
  { name: 'login', description: 'Signing in, and the way back in for those who lost their password.' },
  { name: 'users', description: "Accounts: one's own, and for superusers everybody's." },
  ...resources,
  { name: 'audit', description: 'What was done to accounts, by whom and from where.' },
  { name: 'mails', description: 'The outbox: what waits, what was sent, what was given up and why.' },
  { name: 'utils', description: 'Is it up, and does mail work.' },
  { name: 'private', description: 'Short cuts for development. They exist only where ENVIRONMENT is local.' },
]

/** Prefix of descriptions in the superuser scope. */
export const SUPERUSERS_ONLY = 'Superusers only.'
/** Suffix of descriptions of what is refused without one. */
export const NEEDS_RECENT_SIGN_IN = 'Needs a recent sign-in.'

/** The tag of an operation: the part of its id before the dash. */
export const tagOf = (operationId: string) => operationId.slice(0, operationId.indexOf('-'))

/**
 * A route's schema for the document, with all of its answers.
 *
 * @param refusals errors of its scope's guard; none in the public scope
 */
export function documented(schema: FastifySchema, refusals: readonly ApiErrorKind[]): FastifySchema {
  const stale = schema.fresh ? [RecentSignInRequired] : []
  const errors = [...refusals, ...stale, ...bodyErrors(schema), ...(schema.errors ?? []), ...anywhere]
  const sentences = [
    ...(refusals.includes(NotEnoughPrivileges) ? [SUPERUSERS_ONLY] : []),
    schema.description ?? '',
    ...(schema.fresh ? [NEEDS_RECENT_SIGN_IN] : []),
    ...(schema.permission === undefined ? [] : [`An API key needs \`${schema.permission}\`.`]),
  ]
  return {
    ...schema,
    description: sentences.join(' '),
    ...(schema.permission !== undefined && { 'x-permission': schema.permission }),
    tags: [tagOf(schema.operationId ?? '')],
    security: refusals.length > 0 ? securityOf(schema) : [],
    response: {
      ...goodAnswers(schema),
      ...errorAnswers(errors),
      ...(hasInput(schema) && { 422: invalidInput }),
    },
  }
}

/** A session, or where an operation names a permission an API key with it. */
const securityOf = ({ permission }: FastifySchema) => [
  { [SECURITY_SCHEME]: [] },
  ...(permission === undefined ? [] : [{ [API_KEY_SCHEME]: [] }]),
]

/** Errors of any route. */
const anywhere = [TooManyRequests, InternalServerError, ServiceUnavailable]

const bodyErrors = ({ body }: FastifySchema) =>
  body === undefined ? [] : [UnreadableBody, PayloadTooLarge, UnsupportedMediaType]

const hasInput = ({ body, params, querystring, headers }: FastifySchema) =>
  [body, params, querystring, headers].some((part) => part !== undefined)

const inContent = (schema: unknown, type = 'application/json', more: object = {}) => ({
  content: { [type]: { schema, ...more } },
})

function goodAnswers({ response, produces, versioned, headers, redirects }: FastifySchema) {
  const tag = versioned && {
    headers: { ETag: header('Which version of the row this is (RFC 9110, 8.8.3).') },
  }
  const answers = Object.entries(response as Record<string, object>).map(([status, schema]) => [
    status,
    { description: STATUS_CODES[status], ...tag, ...inContent(schema, produces?.[0]) },
  ])
  const unchanged = { description: 'It is the version of `If-None-Match`.', type: 'null', ...tag }
  const elsewhere = {
    description: redirects,
    type: 'null',
    headers: { Location: header('Where to.') },
  }
  return {
    ...Object.fromEntries(answers),
    ...(redirects !== undefined && { 302: elsewhere }),
    ...(isOneOf('If-None-Match', headers) && { 304: unchanged }),
  }
}

const isOneOf = (name: string, headers: unknown) =>
  headers !== undefined && name in (headers as TObject).properties

const invalidInput = {
  description:
    '`validation_error`: the input does not fit its schema. An entry for each fault, never the value itself.',
  ...inContent(HTTPValidationError, undefined, {
    examples: {
      validation_error: {
        summary: 'A password that is too short',
        value: {
          detail: [
            {
              loc: ['body', 'password'],
              msg: 'String should have at least 8 characters',
              type: 'string_too_short',
            },
          ],
          code: 'validation_error',
        },
      },
    },
  }),
}

const header = (text: string) => ({ type: 'string', description: text })
const headersOf: Record<number, object> = {
  401: { 'WWW-Authenticate': header('The scheme, and what is wrong with the token (RFC 6750).') },
  429: { 'Retry-After': header('Seconds to wait.') },
  503: { 'Retry-After': header('Seconds to wait.') },
}

/** One answer for each status; its description and examples list the errors that it may carry, by code. */
function errorAnswers(errors: readonly ApiErrorKind[]) {
  const byStatus = new Map<number, Map<string, string>>()
  const challenges = errors.some((error) => error === SecondFactorRequired)
  for (const { status, code, detail } of errors) {
    byStatus.set(status, (byStatus.get(status) ?? new Map<string, string>()).set(code, detail))
  }
  return Object.fromEntries(
    [...byStatus].map(([status, details]) => [
      status,
      {
        description: [...details].map(([code, detail]) => `\`${code}\` (${detail})`).join(' or '),
        ...(headersOf[status] && { headers: headersOf[status] }),
        ...inContent(
          challenges && status === SecondFactorRequired.status ? SecondFactorAnswer : HTTPError,
          undefined,
          {
            examples: examplesOf(details),
          },
        ),
      },
    ]),
  )
}

const examplesOf = (details: ReadonlyMap<string, string>) =>
  Object.fromEntries(
    [...details].map(([code, detail]) => [code, { summary: detail, value: { detail, code } }]),
  )
