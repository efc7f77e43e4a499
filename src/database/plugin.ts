import plugin from 'fastify-plugin'
import { type Connection, type Database, connect } from './connect.ts'
import type { Config } from '../config/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The database. Tables with owners are reached through `request.owned` only. */
    readonly db: Database
    /** Migration, checks and load, for operations/. */
    readonly connection: Pick<Connection, 'migrate' | 'checkMigrated' | 'check' | 'load'>
  }
}

export interface DatabaseOptions {
  readonly config: Config
  /** An open connection to use; by default the plugin opens one. */
  readonly connection?: Connection | undefined
}

/** Opens the database, and closes it last. PostgreSQL may still be away (operations/preparation.ts). */
export const database = plugin(
  async (app, { config, connection }: DatabaseOptions) => {
    const opened = connection ?? (await connect(config))
    app.addHook('onClose', opened.close)
    app.decorate('db', opened.db)
    app.decorate('connection', opened)
  },
  { name: 'database' },
)
