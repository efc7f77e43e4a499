import postgres, { type Options, type Sql } from 'postgres'
import { driverOptions, settingsIn } from '../../config/database-url.ts'

/** A postgres.js client for a URL as hosting providers write it. Parameters of the URL win over `own`. */
export function openPostgres(url: string, own: Options<Record<string, never>>): Sql {
  const said = driverOptions(url)
  // Startup parameters win over `options`, so those that `options` sets are left out.
  const inOptions = settingsIn(said.connection.options)
  const ours = Object.entries(own.connection ?? {}).filter(([name]) => !inOptions.has(name.toLowerCase()))
  const options = { ...own, ...said, connection: { ...Object.fromEntries(ours), ...said.connection } }
  // Its types lack several hosts with ports, which it accepts.
  return postgres(options as object)
}
