import { ConfigError } from './config.ts'
import type { Config } from './config.ts'
import { isUnavailable } from './db/faults.ts'

/**
 * What went wrong at start in words that name the fix, where an operator can mend it.
 *
 * @returns undefined for anything else: a fault of ours, which is shown with where it happened
 */
export function startFault(error: unknown, config: Config | undefined): string | undefined {
  const { code, name, message } = error as NodeJS.ErrnoException
  if (error instanceof ConfigError || name === 'DataFolderInUse') return message
  if (code === 'EADDRINUSE')
    return `Port ${config?.PORT} is in use: stop what listens there, or set PORT to another.`
  if (code === 'EADDRNOTAVAIL') return `HOST ${config?.HOST} is no address of this machine.`
  if (code === 'EACCES') return `No permission: ${message}`
  if (code === 'ERR_MODULE_NOT_FOUND' && /pglite|fs-native-extensions/.test(message))
    return 'DATABASE_URL is not set, and the embedded database is not part of a production install.'
  const databaseCode = databaseFault(error)
  if (databaseCode !== undefined)
    return `The database can't be used (${databaseCode}): is it up, and are DATABASE_URL and MIGRATION_DATABASE_URL right?`
  return undefined
}

/** Not reachable, or not letting us in (SQLSTATE class 28, 3D000 no such database, 42501 privileges). */
function databaseFault(error: unknown): string | undefined {
  const cause = (error as Error).cause ?? error
  const { code } = cause as { code?: string }
  return code !== undefined && (isUnavailable(error) || /^(28\w{3}|3D000|42501)$/.test(code))
    ? code
    : undefined
}
