import { test } from 'tap'
import * as exported from '../../src/contract/errors.ts'
import { codeOf } from '../support/errors.ts'

const isKind = (value: unknown): value is exported.ApiErrorKind =>
  typeof value === 'function' && 'status' in value && 'detail' in value

const kinds = Object.entries(exported).filter((entry): entry is [string, exported.ApiErrorKind] =>
  isKind(entry[1]),
)

/** Codes that clients branch on. The resources of a product may add others. */
const PROMISED = `
already_exists bad_request client_closed_request email_not_verified email_taken expectation_failed inactive_user
incorrect_email_or_password incorrect_password internal_server_error invalid_credentials invalid_token last_superuser
mail_not_found mail_not_parked not_authenticated not_enough_permissions not_enough_privileges not_found payload_too_large
precondition_failed request_header_fields_too_large request_timeout row_quota_reached same_password service_unavailable
session_not_found still_referenced superuser_cannot_delete_self too_many_requests unknown_host unreadable_body
unsupported_media_type user_not_found`
  .trim()
  .split(/\s/)

void test('each kind of error has a code in snake_case', (t) => {
  for (const [name, Kind] of kinds) {
    t.match(Kind.code, /^[a-z]+(_[a-z]+)*$/, name)
    t.equal(new Kind().code, Kind.code, name)
  }
  t.equal(new exported.InvalidInput(['body'], 'x').code, 'validation_error')
  t.equal(new exported.MethodNotAllowed(['GET']).code, 'method_not_allowed')
  t.end()
})

void test('published error codes are never removed, and keep their messages', (t) => {
  const codes = new Set(kinds.map(([, { code }]) => code))
  t.same(
    PROMISED.filter((code) => !codes.has(code)),
    [],
  )
  for (const [name, { code, detail }] of kinds)
    if (PROMISED.includes(code)) t.equal(codeOf(detail), code, name)
  t.end()
})
