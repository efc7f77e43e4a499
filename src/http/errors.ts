import { STATUS_CODES } from 'node:http'
import { isNativeError } from 'node:util/types'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { isUnavailable } from '../database/faults.ts'
import {
  ApiError,
  type ApiErrorKind,
  CLIENT_CLOSED,
  InternalServerError,
  InvalidCredentials,
  InvalidInput,
  InvalidToken,
  UnreadableBody,
  Overloaded,
  PayloadTooLarge,
  ServiceUnavailable,
  TooManyRequests,
  UnsupportedMediaType,
} from '../contract/errors.ts'
import type { ErrorBody } from './pages/web-page.ts'
import { rememberInput } from './observe/logger.ts'
import { validationFaults } from './input/validation-faults.ts'

/** Turns errors into answers, `{"detail": …, "code": …}`, without anything internal. */
export const errors = plugin(
  (app, _options, done) => {
    app.setErrorHandler((thrown, request, reply) => {
      const error =
        isNativeError(thrown) || thrown instanceof Error ? (thrown as FastifyError) : new NoError(thrown)
      try {
        return answerError(error, request, reply)
      } catch (fault) {
        // An error object with unexpected fields can't be described safely.
        request.log.error({ err: fault, route: request.routeOptions.url }, 'request failed')
        return sendApiError(reply, new InternalServerError())
      }
    })
    done()
  },
  { name: 'errors', dependencies: ['reporting'] },
)

/** For thrown values that are not errors: `throw null`, `Promise.reject('text')`. The value may be a secret. */
class NoError extends Error {
  readonly code = 'NO_ERROR'

  constructor(thrown: unknown) {
    super(`what was thrown is no Error: ${thrown === null ? 'null' : typeof thrown}`)
    this.name = 'NoError'
  }
}

/** Fastify's own errors, by code. */
const known = new Map<string, new () => ApiError>([
  ['FST_ERR_CTP_BODY_TOO_LARGE', PayloadTooLarge],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', UnsupportedMediaType],
  ['FST_ERR_CTP_INVALID_JSON_BODY', UnreadableBody],
])

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  if (Array.isArray(error.validation)) {
    return reply.code(422).send({ detail: validationFaults(error, request), code: InvalidInput.code })
  }
  const answer = toApiError(error, request)
  if (answer.status >= 500 && !(answer instanceof Overloaded)) {
    rememberInput(error, request)
    request.log.error({ err: error, route: request.routeOptions.url }, 'request failed')
  }
  recordRefusal(request, answer)
  if (answer.status === 500) request.server.reportError(error, request)
  return sendApiError(reply, answer)
}

/** Logs refusals that matter for security, of every route. */
function recordRefusal(request: FastifyRequest, answer: ApiError): void {
  if (isOf(InvalidCredentials, answer)) request.recordRefusal('token_refused', answer.reason ?? 'unknown')
  else if (isOf(InvalidToken, answer)) request.recordRefusal('link_refused', 'unknown, used or expired')
  else if (answer instanceof TooManyRequests) request.recordRefusal('limit_reached', answer.limit)
  else if (answer.status === 403) request.recordRefusal('access_denied', answer.detail)
}

const isOf = (kind: ApiErrorKind, answer: ApiError): boolean => answer instanceof kind

/** Sends an error as the contract has it. */
function sendApiError(reply: FastifyReply, error: ApiError) {
  const { status, headers } = error
  return reply
    .code(status)
    .headers({ ...headers })
    .send(errorBody(error))
}

/** The body of an error, which is all that clients are told. */
export const errorBody = (error: ApiError): ErrorBody => ({
  detail: error instanceof InvalidInput ? [error.fault] : error.detail,
  code: error.code,
  ...error.more,
})

function toApiError(error: FastifyError, { raw }: FastifyRequest): ApiError {
  if (error instanceof ApiError) return error
  // A closed request has the same error code as a lost connection of the database.
  if (error === raw.errored) return CLIENT_CLOSED
  const kind = known.get(error.code)
  if (kind) return new kind()
  if (isUnavailable(error)) return new ServiceUnavailable()
  const status = error.statusCode ?? 500
  if (Number.isInteger(status) && status >= 400 && status < 500) return ofStatus(status)
  return new InternalServerError()
}

/** Of Fastify or a plugin, and named like its status: 406 is `not_acceptable`. */
function ofStatus(status: number): ApiError {
  const text = STATUS_CODES[status] ?? 'Bad Request'
  return new ApiError(status, text.toLowerCase().replaceAll(/\W+/g, '_'), text)
}
