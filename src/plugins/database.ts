import plugin from 'fastify-plugin'
import { type Connection, type Database, connect } from '../db/connect.ts'
import type { Config } from '../config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The database. Tables with owners can't be reached through it; see `request.owned`. */
    readonly db: Database
  }
}

export interface DatabaseOptions {
  readonly config: Config
  /** A connection that is open already; without one, the plugin opens its own. */
  readonly connection?: Connection | undefined
}

/** Opens the database, brings its schema up to date before anything else runs, and closes it last. */
export const database = plugin(
  async (app, { config, connection }: DatabaseOptions) => {
    const { db, migrate, close } = connection ?? (await connect(config))
    app.addHook('onClose', close)
    await migrate()
    app.decorate('db', db)
  },
  { name: 'database' },
)
