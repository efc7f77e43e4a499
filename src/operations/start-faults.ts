import { ConfigError } from '../config/config.ts'
import type { Config } from '../config/config.ts'
import {
  faultCode,
  isPooler,
  isRefused,
  isUnavailable,
  isUntrusted,
  isWithoutTls,
  ownWords,
} from '../database/faults.ts'

/** Error classes whose messages name the fix already. */
const TELLING = new Set([
  'DataFolderInUse',
  'DataFolderUnusable',
  'MigrationLocked',
  'MigrationFailed',
  'MigrationsPending',
  'NotAdopted',
  'DatabaseUnfit',
])

/** SQLSTATE read_only_sql_transaction. */
const READ_ONLY = '25006'

/**
 * One line that says what went wrong at start and names the fix; undefined for errors that no operator can mend.
 *
 * @returns undefined for anything else: a fault of ours, which is shown with where it happened
 */
export function startFault(error: unknown, config: Config | undefined): string | undefined {
  const { name, message } = error as Error
  if (error instanceof ConfigError || TELLING.has(name)) return message
  return listenFault(error, config) ?? moduleFault(error) ?? databaseFault(error) ?? fileFault(error)
}

type NodeError = NodeJS.ErrnoException & { port?: number; address?: string; hostname?: string }

/** HOST and PORT can't be listened on. */
function listenFault(error: unknown, config: Config | undefined): string | undefined {
  const { code, syscall, port, address, hostname } = error as NodeError
  const isMetrics =
    config?.METRICS_PORT !== undefined && (port === config.METRICS_PORT || hostname === config.METRICS_HOST)
  const [PORT, HOST] = isMetrics ? (['METRICS_PORT', 'METRICS_HOST'] as const) : (['PORT', 'HOST'] as const)
  if (code === 'EADDRINUSE')
    return `Port ${config?.[PORT]} is in use: stop what listens there, or set ${PORT} to another.`
  const isName = syscall === 'getaddrinfo' && hostname !== undefined && hostname === config?.[HOST]
  if (code === 'EADDRNOTAVAIL' || isName) return `${HOST} ${config?.[HOST]} is no address of this machine.`
  if (code === 'EACCES' && syscall === 'listen')
    return `No permission to listen on port ${port} of ${address}: set ${PORT} to one above 1023.`
  return undefined
}

function moduleFault(error: unknown): string | undefined {
  const { code, message } = error as NodeError
  if (code === 'ERR_MODULE_NOT_FOUND' && /pglite|fs-native-extensions/.test(message))
    return 'DATABASE_URL is not set, and the embedded database is not part of a production install.'
  return undefined
}

function databaseFault(error: unknown): string | undefined {
  if (isPooler(error))
    return 'DATABASE_URL leads to a pooler: set MIGRATION_DATABASE_URL to a direct connection.'
  if (faultCode(error) === READ_ONLY)
    return 'The database takes no writes: DATABASE_URL leads to a standby, or default_transaction_read_only is on for the role or the database.'
  if (isUntrusted(error))
    return `The database's certificate is not trusted (${faultCode(error)}: ${ownWords(error)}): name its authority by sslrootcert=… in DATABASE_URL, and the host by a name that is in it.`
  if (isWithoutTls(error))
    return `The database answers with no TLS (${faultCode(error)}), where DATABASE_URL asks for it by sslmode: switch it on there, or ask for none.`
  if (isUnavailable(error) || isRefused(error)) {
    const words = ownWords(error)
    return `The database can't be used (${faultCode(error)})${words && `, "${words}"`}: is it up, and are DATABASE_URL and MIGRATION_DATABASE_URL right?`
  }
  return undefined
}

/** Node's errors of files name the file and the operation. */
function fileFault(error: unknown): string | undefined {
  const { code = '', path, message } = error as NodeError
  if (code === 'EACCES' || code === 'EPERM') return `No permission: ${message}`
  if (
    path !== undefined &&
    /^(ENOENT|ENOTDIR|EISDIR|EROFS|ENOSPC|EDQUOT|EMFILE|EIO|EEXIST|ELOOP|ENAMETOOLONG)$/.test(code)
  )
    return `A file can't be used: ${message}`
  return undefined
}
