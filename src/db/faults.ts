/** What went wrong in the database, told from the errors of either driver. */

interface DriverError {
  code?: string
  message?: string
  constraint_name?: string // postgres.js
  constraint?: string // PGlite
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

/** A row refers to one that is not there (any more). */
export const isForeignKeyViolation = (error: unknown): boolean => driverError(error).code === '23503'

/**
 * A statement that was not done in time (bounded-pool.ts), connections that broke or could not be made (postgres.js and Node), SQLSTATE classes 08 connection,
 * 53 resources, 57 operator intervention and 58 system, 55P03 lock not available, 40001 and 40P01 to be tried
 * again (PostgreSQL manual, appendix A), 25006 a standby that takes no writes.
 */
const UNAVAILABLE =
  /^(DATABASE_DEADLINE|CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED)|ECONN\w+|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|(08|53|57|58)\w{3}|55P03|40001|40P01|25006)$/

/** The database is away, overloaded or gave up; the same call may work in a moment. */
export const isUnavailable = (error: unknown): boolean => UNAVAILABLE.test(driverError(error).code ?? '')

/** A pooler does not take what postgres.ts tells PostgreSQL at the start of a connection. */
export const isPooler = (error: unknown): boolean =>
  /unsupported startup parameter/.test(driverError(error).message ?? '')

/**
 * It does not let us in, and waiting won't help: SQLSTATE class 28 credentials, 3D000 no such database, 42501
 * privileges; or it is a pooler where a direct connection is expected.
 */
export const isRefused = (error: unknown): boolean =>
  /^(28\w{3}|3D000|42501)$/.test(driverError(error).code ?? '') || isPooler(error)

/** The code of the driver's error, for people. */
export const faultCode = (error: unknown): string | undefined => driverError(error).code
