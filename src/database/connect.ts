import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import type { Config } from '../config/config.ts'
import type { PoolLoad } from './pool/bounded-pool.ts'
import type { Runs } from './statement.ts'

/**
 * What everything above speaks to; PostgreSQL and the embedded database look the same through it. Drizzle, and `run` for
 * statements that are written as SQL.
 */
export type Database = PgDatabase<PgQueryResultHKT> & Runs

/** An open database and what its owner must do with it. */
export interface Connection {
  readonly db: Database
  /** How much there is to do; the embedded database has one connection, and no queue to look at. */
  readonly load?: () => PoolLoad
  /**
   * Brings the schema up to date; safe when several processes start at once.
   *
   * @param waitMs for another process that does so
   * @throws an error that faults.ts calls unavailable, where that takes longer
   */
  migrate(waitMs?: number): Promise<void>
  /** @throws DatabaseUnfit where connections are set otherwise than the service needs */
  check?(): Promise<void>
  /** Waits for running statements, at most a few seconds, and lets go. */
  close(): Promise<void>
}

type DatabaseConfig = Pick<
  Config,
  'DATABASE_URL' | 'MIGRATION_DATABASE_URL' | 'DATABASE_POOL_SIZE' | 'DATABASE_TIMEOUT_MS' | 'DATA_DIR'
>

/**
 * Opens PostgreSQL where DATABASE_URL is set, and the embedded database in DATA_DIR otherwise.
 * Each is imported only where it is used: the production image does not carry the embedded one.
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
    })
  }
  const { connectEmbedded } = await import('./embedded/embedded.ts')
  return connectEmbedded(config.DATA_DIR)
}
