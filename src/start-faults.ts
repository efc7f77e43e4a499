import { ConfigError } from './config.ts'
import type { Config } from './config.ts'
import { faultCode, isPooler, isRefused, isUnavailable } from './db/faults.ts'

/**
 * What went wrong at start in words that name the fix, where an operator can mend it.
 *
 * @returns undefined for anything else: a fault of ours, which is shown with where it happened
 */
export function startFault(error: unknown, config: Config | undefined): string | undefined {
  const { code, name, message } = error as NodeJS.ErrnoException
  if (error instanceof ConfigError || name === 'DataFolderInUse') return message
  if (code === 'EADDRINUSE') {
    const name = isMetricsPort(error, config) ? 'METRICS_PORT' : 'PORT'
    return `Port ${config?.[name]} is in use: stop what listens there, or set ${name} to another.`
  }
  if (code === 'EADDRNOTAVAIL') return `HOST ${config?.HOST} is no address of this machine.`
  if (code === 'EACCES') return `No permission: ${message}`
  if (code === 'ERR_MODULE_NOT_FOUND' && /pglite|fs-native-extensions/.test(message))
    return 'DATABASE_URL is not set, and the embedded database is not part of a production install.'
  if (isPooler(error))
    return 'DATABASE_URL leads to a pooler: set MIGRATION_DATABASE_URL to a direct connection.'
  if (isUnavailable(error) || isRefused(error))
    return `The database can't be used (${faultCode(error)}): is it up, and are DATABASE_URL and MIGRATION_DATABASE_URL right?`
  return undefined
}

const isMetricsPort = (error: unknown, config: Config | undefined) =>
  config?.METRICS_PORT !== undefined && (error as { port?: number }).port === config.METRICS_PORT
