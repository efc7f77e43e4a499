import plugin from 'fastify-plugin'
import { type Connection, type Database, connect } from './connect.ts'
import type { Config } from '../config/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The database. Tables with owners can't be reached through it; see `request.owned`. */
    readonly db: Database
    /** What the database's owner needs to know beside; preparation and metrics do. */
    readonly connection: Pick<Connection, 'migrate' | 'check' | 'load'>
  }
}

export interface DatabaseOptions {
  readonly config: Config
  /** A connection that is open already; without one, the plugin opens its own. */
  readonly connection?: Connection | undefined
}

/** Opens the database, and closes it last. PostgreSQL need not be there yet: see preparation.ts. */
export const database = plugin(
  async (app, { config, connection }: DatabaseOptions) => {
    const opened = connection ?? (await connect(config))
    app.addHook('onClose', opened.close)
    app.decorate('db', opened.db)
    app.decorate('connection', opened)
  },
  { name: 'database' },
)
