import type { FastifyInstance } from 'fastify'
import plugin from 'fastify-plugin'
import { type Connection, type Database, connect } from './connect.ts'
import type { Config } from '../config/config.ts'
import type { PoolLoad } from './pool/pool.ts'

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
    if (opened.load) logRefusals(app, opened.load)
    app.decorate('db', opened.db)
    app.decorate('connection', opened)
  },
  { name: 'database' },
)

const LOG_EVERY_MS = 1_000

/** One line for all that the pool refused meanwhile: a line each would add to the load. */
function logRefusals(app: FastifyInstance, load: () => PoolLoad) {
  let logged = 0
  const timer = setInterval(() => {
    const { refused, waiting } = load()
    if (refused > logged)
      app.log.warn({ refused: refused - logged, waiting }, 'overloaded: statements are refused')
    logged = refused
  }, LOG_EVERY_MS).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}
