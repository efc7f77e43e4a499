import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import type { Config } from '../config/config.ts'
import type { PoolLoad } from './pool/pool.ts'
import type { Runs } from './statement.ts'

/**
 * The database, PostgreSQL or embedded: Drizzle, and `run` for statements written as SQL.
 */
export type Database = Omit<PgDatabase<PgQueryResultHKT>, 'transaction'> &
  Runs & {
    /**
     * Runs several statements as one, on a connection of its own: all of them are kept, or none. What it is given runs
     * statements too, and is what `request.owned(table, transaction)` takes.
     *
     * @throws what `work` throws, after a rollback
     */
    transaction<T>(work: (transaction: Database) => Promise<T>): Promise<T>
    /** Set in what `work` is given. */
    readonly isTransaction?: true
  }

export const isTransaction = (runs: Runs): runs is Database => 'isTransaction' in runs

/** An open database, with what its owner needs. */
export interface Connection {
  readonly db: Database
  /** Load of the pool. The embedded database has none. */
  readonly load?: () => PoolLoad
  /**
   * Brings the schema up to date; safe when several processes start at once.
   *
   * @param waitMs longest wait for another process that migrates
   * @throws an error that faults.ts calls unavailable, if that takes longer
   */
  migrate(waitMs?: number): Promise<void>
  /** @throws MigrationsPending if the schema is not up to date */
  checkMigrated?(): Promise<void>
  /** @throws DatabaseUnfit if session settings differ from what the service needs */
  check?(): Promise<void>
  /** Closes all connections, after waiting a few seconds at most for running statements. */
  close(): Promise<void>
}

type DatabaseConfig = Pick<
  Config,
  | 'DATABASE_URL'
  | 'MIGRATION_DATABASE_URL'
  | 'DATABASE_POOL_SIZE'
  | 'DATABASE_TIMEOUT_MS'
  | 'DATABASE_LONG_TIMEOUT_MS'
  | 'DATA_DIR'
>

/**
 * Opens PostgreSQL if DATABASE_URL is set, else the embedded database in DATA_DIR. Each is imported only when used: the
 * production image does not contain the embedded one.
 *
 * @throws DataFolderInUse when another process has the embedded database open
 */
export async function connect(config: DatabaseConfig): Promise<Connection> {
  if (config.DATABASE_URL !== undefined) {
    const { connectPostgres } = await import('./postgres.ts')
    return connectPostgres({
      url: config.DATABASE_URL,
      migrationUrl: config.MIGRATION_DATABASE_URL ?? config.DATABASE_URL,
      poolSize: config.DATABASE_POOL_SIZE,
      timeoutMs: config.DATABASE_TIMEOUT_MS,
      longTimeoutMs: config.DATABASE_LONG_TIMEOUT_MS,
    })
  }
  const { connectEmbedded } = await import('./embedded/embedded.ts')
  return connectEmbedded(config.DATA_DIR)
}
