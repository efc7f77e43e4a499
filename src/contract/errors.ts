import type { ValidationError } from './contract.ts'

/**
 * Every error that a client can meet, once: its status, code and text are the contract's.
 * Handlers throw them (`throw new UserNotFound()`), routes declare them (`errors: [UserNotFound]`),
 * and http/errors.ts is the one place that turns them into answers.
 */

/** An error whose status, code and text are meant for the client. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly headers: Readonly<Record<string, string>>
  /** Of its body, beside `detail` and `code`. */
  readonly more: Readonly<Record<string, unknown>> = {}
  /** Reason for the log of security events; not sent to the client. */
  reason?: string

  constructor(status: number, code: string, detail: string, headers: Record<string, string> = {}) {
    super(detail)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.detail = detail
    this.headers = headers
  }
}

/** 422 for an input that fits its schema but is not acceptable, in the form of a validation error. */
export class InvalidInput extends ApiError {
  static readonly code = 'validation_error'
  readonly fault: ValidationError

  constructor(loc: ValidationError['loc'], msg: string, type = 'value_error') {
    super(422, InvalidInput.code, msg)
    this.fault = { type, loc, msg }
  }
}

/** A kind of ApiError: thrown as `new Kind()`, declared in a route's `errors` as `Kind`. */
export interface ApiErrorKind {
  new (): ApiError
  readonly status: number
  readonly code: string
  readonly detail: string
}

/**
 * A kind of error.
 *
 * @param code a stable name in snake_case, which callers branch on; errors that they handle alike share one
 * @param detail what people read
 */
export function define(
  status: number,
  code: string,
  detail: string,
  headers?: Record<string, string>,
): ApiErrorKind {
  return class extends ApiError {
    static readonly status = status
    static readonly code = code
    static readonly detail = detail
    constructor() {
      super(status, code, detail, headers)
    }
  }
}

/** @param field of the body with the password */
export class CommonPassword extends InvalidInput {
  constructor(field: 'password' | 'new_password') {
    super(['body', field], 'Password is among the most common ones; choose another', 'common_password')
  }
}

/** A changed address that is none. The same as the fault of a new one (http/input/validation-faults.ts). */
export class NoEmailAddress extends InvalidInput {
  constructor() {
    super(['body', 'email'], 'Value is not a valid email address')
  }
}

// Who is asking (RFC 6750, section 3)
export const NotAuthenticated = define(401, 'not_authenticated', 'Not authenticated', {
  'www-authenticate': 'Bearer',
})
export const InvalidCredentials = define(401, 'invalid_credentials', 'Could not validate credentials', {
  'www-authenticate': 'Bearer error="invalid_token"',
})
export const NotEnoughPrivileges = define(
  403,
  'not_enough_privileges',
  "The user doesn't have enough privileges",
)

/** The session's user showed who they are longer than REAUTHENTICATION_MINUTES ago. */
export const RecentSignInRequired = define(403, 'recent_sign_in_required', 'Recent sign-in required')

/** The session has shown none, and what is asked needs one. */
export const SecondFactorNeeded = define(403, 'second_factor_required', 'Second factor required')

/** A sign-in whose password is right: it goes on with a code and the challenge. */
export class SecondFactorRequired extends ApiError {
  static readonly status = 400
  static readonly code = SecondFactorNeeded.code
  static readonly detail = SecondFactorNeeded.detail
  override readonly more: Readonly<Record<string, unknown>>

  /** @param challenge for POST /login/second-factor; lives for so many seconds */
  constructor(challenge = '', expires_in = 0) {
    const { status, code, detail } = SecondFactorRequired
    super(status, code, detail)
    this.more = { challenge, methods: ['totp', 'recovery'], expires_in }
  }
}
export const IncorrectCode = define(400, 'incorrect_code', 'Incorrect code')
export const FactorNotFound = define(404, 'factor_not_found', 'Factor not found')
export const TooManyFactors = define(400, 'too_many_factors', 'Too many factors')

// Passkeys
/** Whatever is not right about it: unknown, of another host, without user verification, its challenge used or expired, … */
export const IncorrectPasskey = define(400, 'incorrect_passkey', 'Incorrect passkey')
export const PasskeyNotFound = define(404, 'passkey_not_found', 'Passkey not found')
export const TooManyPasskeys = define(400, 'too_many_passkeys', 'Too many passkeys')
/** Neither FRONTEND_HOST nor PUBLIC_URL has the name of a host, which they are bound to. */
export const PasskeysUnavailable = define(400, 'passkeys_unavailable', 'Passkeys unavailable')

// Login and recovery
export const IncorrectEmailOrPassword = define(
  400,
  'incorrect_email_or_password',
  'Incorrect email or password',
)
export const InactiveUser = define(400, 'inactive_user', 'Inactive user')
export const EmailNotVerified = define(400, 'email_not_verified', 'Email not verified')
export const InvalidToken = define(400, 'invalid_token', 'Invalid token')
export const UnknownUsername = define(
  404,
  'user_not_found',
  'The user with this username does not exist in the system.',
)

// Users
export const EmailTakenAtCreation = define(
  400,
  'email_taken',
  'The user with this email already exists in the system.',
)
export const EmailTakenAtSignup = define(
  400,
  'email_taken',
  'The user with this email already exists in the system',
)
export const EmailTakenAtChange = define(409, 'email_taken', 'User with this email already exists')
export const IncorrectPassword = define(400, 'incorrect_password', 'Incorrect password')
export const SamePassword = define(400, 'same_password', 'New password cannot be the same as the current one')
export const SuperuserDeletesSelf = define(
  403,
  'superuser_cannot_delete_self',
  'Super users are not allowed to delete themselves',
)
export const LastSuperuser = define(403, 'last_superuser', 'The last active superuser cannot be removed')
export const UserNotFound = define(404, 'user_not_found', 'User not found')
export const UserToUpdateNotFound = define(
  404,
  'user_not_found',
  'The user with this id does not exist in the system',
)

// Sessions
export const SessionNotFound = define(404, 'session_not_found', 'Session not found')

// API keys
/** It lacks the operation's permission, or no API key may do it at all. */
export const ApiKeyNotAllowed = define(403, 'api_key_not_allowed', 'API key not allowed')
export const ApiKeyNotFound = define(404, 'api_key_not_found', 'API key not found')
export const TooManyApiKeys = define(400, 'too_many_api_keys', 'Too many API keys')

// Identity providers
export const ProviderNotFound = define(404, 'provider_not_found', 'Provider not found')
/** It does not answer, or not as a provider does; the rest of the service goes on. */
export const ProviderUnavailable = define(503, 'provider_unavailable', 'Provider unavailable', {
  'retry-after': '5',
})
/** There is an account with the address, and it is not known that both are of one person. */
export const AccountExists = define(
  400,
  'account_exists',
  'An account with this address exists: choose a new password by a recovery mail, sign in, and link the provider',
)
/** The provider does not say that the address is theirs. */
export const ProviderEmailNotVerified = define(
  400,
  'provider_email_not_verified',
  'The provider did not vouch for an email address',
)
export const IdentityTaken = define(400, 'identity_taken', 'This identity belongs to another account')
export const TooManyIdentities = define(400, 'too_many_identities', 'Too many identities')
export const IdentityNotFound = define(404, 'identity_not_found', 'Identity not found')
/** Without it, nothing but a recovery mail would lead into the account. */
export const LastWayIn = define(400, 'last_way_in', 'This is the only way to sign in')

// Every table that has owners
export const NotEnoughPermissions = define(403, 'not_enough_permissions', 'Not enough permissions')
/** The user has MAX_ROWS_PER_USER rows. */
export const RowQuotaReached = define(403, 'row_quota_reached', 'The limit of rows for one user is reached')
/** The row's version is none of `If-Match` (RFC 9110, 13.1.1). */
export const PreconditionFailed = define(412, 'precondition_failed', 'Precondition Failed')

/** Other rows refer to the row by a foreign key. */
export const StillReferenced = define(409, 'still_referenced', 'Other rows still refer to this one')
/** Unique violation. Does not say whose the other row is. */
export class AlreadyExists extends ApiError {
  static readonly status = 409
  static readonly code = 'already_exists'
  static readonly detail: string = 'Value is already in use'

  constructor(...fields: string[]) {
    const { status, code, detail } = AlreadyExists
    super(status, code, [detail, fields.join(', ')].filter(Boolean).join(': '))
  }
}

/** In local, for a Host header that is not loopback, HOST or PUBLIC_URL. */
export const UnknownHost = define(
  403,
  'unknown_host',
  'Unknown Host: use localhost, or set PUBLIC_URL to where this service is reached',
)

// Mails
export const MailNotFound = define(404, 'mail_not_found', 'Mail not found')
export const MailNotParked = define(409, 'mail_not_parked', 'Only a parked mail can be sent again')

// Any route
export const BadRequest = define(400, 'bad_request', 'Bad Request')
export const UnreadableBody = define(400, 'unreadable_body', 'The body could not be read')
export const NotFound = define(404, 'not_found', 'Not Found')
/** The connection is closed, or the rest of the body would be read as the next request. */
export const RequestTimeout = define(408, 'request_timeout', 'Request Timeout', { connection: 'close' })
export const PayloadTooLarge = define(413, 'payload_too_large', 'Payload Too Large')
export const UnsupportedMediaType = define(415, 'unsupported_media_type', 'Unsupported Media Type')
export const ExpectationFailed = define(417, 'expectation_failed', 'Expectation Failed')
export const HeadersTooLarge = define(
  431,
  'request_header_fields_too_large',
  'Request Header Fields Too Large',
)
/** The client hung up. Status of nginx; never sent. */
export const ClientClosedRequest = define(499, 'client_closed_request', 'Client Closed Request')
/** Shared: nobody reads it, and there may be any number. */
export const CLIENT_CLOSED = new ClientClosedRequest()
export const InternalServerError = define(500, 'internal_server_error', 'Internal Server Error')
/** Overloaded, or a dependency is away. Retry after a second. */
export const ServiceUnavailable = define(503, 'service_unavailable', 'Service Unavailable', {
  'retry-after': '1',
})
/** Refused before any work was done, so it is not logged as an error. */
export class Overloaded extends ServiceUnavailable {}

/** RFC 6585, section 4. */
export class TooManyRequests extends ApiError {
  static readonly status = 429
  static readonly code = 'too_many_requests'
  static readonly detail = 'Too many requests'
  /** Name of the limit, for the log; not sent to the client. */
  readonly limit: string

  /** @param seconds to wait before the next try */
  constructor(limit = 'requests', seconds = 1) {
    const { status, code, detail } = TooManyRequests
    super(status, code, detail, { 'retry-after': String(seconds) })
    this.limit = limit
  }
}

/** The Idempotency-Key was used with another body. */
export class IdempotencyKeyReused extends InvalidInput {
  constructor() {
    super(['header', 'idempotency-key'], 'Value was used with another body')
  }
}

/** The path has other methods (RFC 9110, section 15.5.6). */
export class MethodNotAllowed extends ApiError {
  constructor(allowed: Iterable<string>) {
    super(405, 'method_not_allowed', 'Method Not Allowed', { allow: [...allowed].toSorted().join(', ') })
  }
}
