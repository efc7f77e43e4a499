import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { isUnavailable } from '../db/faults.ts'
import {
  ApiError,
  BadRequest,
  ClientClosedRequest,
  InternalServerError,
  InvalidInput,
  UnreadableBody,
  Overloaded,
  PayloadTooLarge,
  ServiceUnavailable,
  UnsupportedMediaType,
} from '../errors.ts'
import { validationFaults } from './validation-faults.ts'

/** The one place that turns errors into answers: `{"detail": …}` and nothing of what is inside. */
export const errors = plugin(
  (app, _options, done) => {
    app.setErrorHandler<FastifyError>(answerError)
    app.addHook('onRequest', (request, _reply, next) =>
      next(lacksHost(request) ? new BadRequest() : undefined),
    )
    // `Expect` with anything but 100-continue, which Node would answer by itself (RFC 9110, 10.1.1).
    app.server.on('checkExpectation', (_request, response: ServerResponse) => {
      const body = JSON.stringify({ detail: STATUS_CODES[417] })
      const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': body.length }
      response.writeHead(417, headers).end(body)
    })
    done()
  },
  { name: 'errors', dependencies: ['reporting'] },
)

/** RFC 9112, 3.2 */
const lacksHost = ({ headers, raw }: FastifyRequest) =>
  headers.host === undefined && raw.httpVersion === '1.1'

/** Fastify's own errors, by code. */
const known: Record<string, new () => ApiError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: PayloadTooLarge,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: UnsupportedMediaType,
  FST_ERR_CTP_INVALID_JSON_BODY: UnreadableBody,
}

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  if (error.validation) {
    return reply.code(422).send({ detail: validationFaults(error, request) })
  }
  const answer = toApiError(error, request)
  if (answer.status >= 500 && !(answer instanceof Overloaded)) {
    request.log.error({ err: error, route: request.routeOptions.url }, 'request failed')
  }
  if (answer instanceof ClientClosedRequest) {
    request.log.info({ route: request.routeOptions.url }, 'the client went before its request was read')
  }
  if (answer.status === 500) request.server.reportError(error, request)
  return sendApiError(reply, answer)
}

/** Sends an error as the contract has it. */
export function sendApiError(reply: FastifyReply, error: ApiError) {
  const { status, headers, detail } = error
  return reply
    .code(status)
    .headers({ ...headers })
    .send({
      detail: error instanceof InvalidInput ? [error.fault] : detail,
    })
}

function toApiError(error: FastifyError, { raw }: FastifyRequest): ApiError {
  if (error instanceof ApiError) return error
  // Its code is that of a connection of the database that broke.
  if (error === raw.errored) return new ClientClosedRequest()
  const kind = known[error.code]
  if (kind) return new kind()
  if (isUnavailable(error)) return new ServiceUnavailable()
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return new ApiError(status, STATUS_CODES[status] ?? 'Bad Request')
  return new InternalServerError()
}
