/** What went wrong in the database, told from the errors of either driver. */

interface DriverError {
  syscall?: string
  code?: string
  message?: string
  constraint_name?: string // postgres.js
  constraint?: string // PGlite
  table_name?: string
  table?: string
  column_name?: string
  column?: string
}

/** Drizzle wraps the driver's error, and its own message carries the statement's values: look beneath. */
function driverError(error: unknown): DriverError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return typeof cause === 'object' && cause !== null ? cause : {}
}

/** The name of the unique index that refused a row, if that is what happened. */
export function uniqueViolation(error: unknown): string | undefined {
  const { code, constraint_name, constraint } = driverError(error)
  return code === '23505' ? (constraint_name ?? constraint ?? '') : undefined
}

/** What refused a write: SQLSTATE classes 22 data exception and 23 integrity constraint violation. */
export interface Refusal {
  readonly code: string
  readonly constraint: string
  readonly table: string
  readonly column: string
}

export function refusalOf(error: unknown): Refusal | undefined {
  const {
    code = '',
    constraint_name,
    constraint,
    table_name,
    table,
    column_name,
    column,
  } = driverError(error)
  // 54000: a text that is too long for the index of a column that must be unique.
  if (!/^(2[23]\w{3}|54000)$/.test(code)) return undefined
  return {
    code,
    constraint: constraint_name ?? constraint ?? '',
    table: table_name ?? table ?? '',
    column: column_name ?? column ?? '',
  }
}

/** A row refers to one that is not there (any more). */
export const isForeignKeyViolation = (error: unknown): boolean => driverError(error).code === '23503'

/** A value that is none of its type: SQLSTATE class 22, data exception. */
export const isDataException = (error: unknown): boolean => /^22\w{3}$/.test(driverError(error).code ?? '')

/**
 * A statement that was not done in time (bounded-pool.ts), connections that broke or could not be made (postgres.js and Node), SQLSTATE classes 08 connection,
 * 53 resources, 57 operator intervention and 58 system, 55P03 lock not available, 40001 and 40P01 to be tried
 * again (PostgreSQL manual, appendix A), 25006 a standby that takes no writes.
 */
const UNAVAILABLE =
  /^(DATABASE_DEADLINE|CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED)|ECONN\w+|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|(08|53|57|58)\w{3}|55P03|40001|40P01|25006)$/

/** The database is away, overloaded or gave up; the same call may work in a moment. */
export function isUnavailable(error: unknown): boolean {
  const { code = '', syscall } = driverError(error)
  // Its Unix socket is not there, or not for us.
  const isSocketAway = syscall === 'connect' && /^(ENOENT|EACCES)$/.test(code)
  return UNAVAILABLE.test(code) || isSocketAway || isUntrusted(error) || isWithoutTls(error)
}

/** Who answers has no certificate that we trust, or one of another name (Node's manual, "X509 certificate error codes"). */
export const isUntrusted = (error: unknown): boolean => UNTRUSTED.test(driverError(error).code ?? '')

const UNTRUSTED =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|(CERT|CRL|UNABLE_TO)_\w+|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))$/

/** TLS was asked for, and it has none. */
export function isWithoutTls(error: unknown): boolean {
  const { code = '', message = '' } = driverError(error)
  // PostgreSQL hangs up on whoever goes on with TLS all the same.
  return /^(EPROTO|ERR_SSL_\w+)$/.test(code) || message.includes('before secure TLS connection')
}

/** A pooler does not take what postgres.ts tells PostgreSQL at the start of a connection. */
export const isPooler = (error: unknown): boolean =>
  /unsupported startup parameter/.test(driverError(error).message ?? '')

/**
 * It does not let us in, and waiting won't help: SQLSTATE class 28 credentials, 3D000 no such database, 42501
 * privileges; or it is a pooler where a direct connection is expected.
 */
export const isRefused = (error: unknown): boolean =>
  /^(28\w{3}|3D000|42501)$/.test(driverError(error).code ?? '') || isPooler(error) || isUntrusted(error)

/** What the server or Node said, on one line. */
export const ownWords = (error: unknown): string => (driverError(error).message ?? '').replaceAll(/\s+/g, ' ')

/** The code of the driver's error, for people. */
export const faultCode = (error: unknown): string | undefined => driverError(error).code
