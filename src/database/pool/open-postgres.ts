import postgres, { type Options, type PostgresType, type Sql } from 'postgres'
import { driverOptions, settingsIn } from '../../config/database/database-url.ts'

/** Options of postgres.js for a URL as hosting providers write it. Parameters of the URL win over `own`. */
export function postgresOptions(url: string, own: Own): Own {
  const said = driverOptions(url)
  // Startup parameters win over `options`, so those that `options` sets are left out.
  const inOptions = settingsIn(said.connection.options)
  const ours = Object.entries(own.connection ?? {}).filter(([name]) => !inOptions.has(name.toLowerCase()))
  // Its types lack several hosts with ports, which it accepts.
  return { ...own, ...said, connection: { ...Object.fromEntries(ours), ...said.connection } } as object
}

type Own = Options<Record<string, PostgresType>>

/** A postgres.js client for such a URL. */
export const openPostgres = (url: string, own: Own): Sql => postgres(postgresOptions(url, own))

export const CONNECT_SECONDS = 2
export const CLOSE_SECONDS = 1

/**
 * With fetch_types, postgres.js 3.4.9 queries types on each new connection, which are not needed here, and a connection that
 * is lost meanwhile becomes an uncaught exception.
 */
export const quiet = { fetch_types: false, onnotice: () => undefined }

export const named = { application_name: 'groundwork' }

/**
 * What Drizzle uses of a postgres.js client. It overwrites parsers and serializers of the client's options, so it is given
 * options of its own.
 */
export const clientForDrizzle = (methods: { readonly unsafe: unknown; readonly begin: unknown }): Sql =>
  ({ options: { parsers: {}, serializers: {} }, ...methods }) as unknown as Sql
