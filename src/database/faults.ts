import { ServiceUnavailable } from '../contract/errors.ts'

/** Classification of database errors, of both drivers. */

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

/** The driver's error inside Drizzle's, whose message contains the values of the statement. */
function driverError(error: unknown): DriverError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return typeof cause === 'object' && cause !== null ? cause : {}
}

/** Name of the unique index, if the error is a unique violation. */
export function uniqueViolation(error: unknown): string | undefined {
  const { code, constraint_name, constraint } = driverError(error)
  return code === '23505' ? (constraint_name ?? constraint ?? '') : undefined
}

/** A refused write: SQLSTATE classes 22 data exception and 23 integrity constraint violation. */
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
  // 54000: a text is too long for a unique index.
  if (!/^(2[23]\w{3}|54000)$/.test(code)) return undefined
  return {
    code,
    constraint: constraint_name ?? constraint ?? '',
    table: table_name ?? table ?? '',
    column: column_name ?? column ?? '',
  }
}

/** Foreign key violation; `on delete restrict` has a code of its own from PostgreSQL 18 on. */
export const isForeignKeyViolation = (error: unknown): boolean =>
  ['23503', '23001'].includes(driverError(error).code ?? '')

/** SQLSTATE class 22, data exception: a value is invalid for its type. */
export const isDataException = (error: unknown): boolean => /^22\w{3}$/.test(driverError(error).code ?? '')

/**
 * Statements beyond their deadline (pool/pool.ts), migrations that another process is to apply, lost or failed connections (postgres.js and Node), SQLSTATE classes
 * 08 connection, 53 resources, 57 operator intervention, 58 system; 55P03 lock not available, 40001 and 40P01 to be retried
 * (PostgreSQL manual, appendix A), 25006 read-only standby.
 */
const UNAVAILABLE =
  /^(DATABASE_DEADLINE|MIGRATIONS_PENDING|CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED)|ECONN\w+|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|(08|53|57|58)\w{3}|55P03|40001|40P01|25006)$/

/** The database is away or overloaded; a retry may succeed. */
export function isUnavailable(error: unknown): boolean {
  const cause = driverError(error)
  if (cause instanceof ServiceUnavailable) return true // the pool's queue is full
  const { code = '', syscall } = cause
  // The Unix socket is missing, or not accessible.
  const isSocketAway = syscall === 'connect' && /^(ENOENT|EACCES)$/.test(code)
  return UNAVAILABLE.test(code) || isSocketAway || isUntrusted(error) || isWithoutTls(error)
}

/** The server's certificate is not trusted, or of another name (Node's manual, "X509 certificate error codes"). */
export const isUntrusted = (error: unknown): boolean => UNTRUSTED.test(driverError(error).code ?? '')

const UNTRUSTED =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|(CERT|CRL|UNABLE_TO)_\w+|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))$/

/** TLS was required, and the server has none. */
export function isWithoutTls(error: unknown): boolean {
  const { code = '', message = '' } = driverError(error)
  // PostgreSQL closes the connection if the client starts TLS all the same.
  return /^(EPROTO|ERR_SSL_\w+)$/.test(code) || message.includes('before secure TLS connection')
}

/** A pooler refused the startup parameters of a direct connection. */
export const isPooler = (error: unknown): boolean =>
  /unsupported startup parameter/.test(driverError(error).message ?? '')

/**
 * Access is refused, and waiting won't help: SQLSTATE class 28 credentials, 3D000 no such database, 42501 privileges; or a
 * pooler where a direct connection is expected.
 */
export const isRefused = (error: unknown): boolean =>
  /^(28\w{3}|3D000|42501)$/.test(driverError(error).code ?? '') || isPooler(error) || isUntrusted(error)

/** The driver's message, on one line. */
export const ownWords = (error: unknown): string => (driverError(error).message ?? '').replaceAll(/\s+/g, ' ')

/** The driver's error code. */
export const faultCode = (error: unknown): string | undefined => driverError(error).code
