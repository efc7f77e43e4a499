import postgres, { type Options, type Sql } from 'postgres'
import { driverOptions, settingsIn } from '../../config/database-url.ts'

/** A client of postgres.js for a URL as hosters write it. What the URL says wins over `own`. */
export function openPostgres(url: string, own: Options<Record<string, never>>): Sql {
  const said = driverOptions(url)
  // PostgreSQL reads `options` first, so that what is said beside it would win.
  const inOptions = settingsIn(said.connection.options)
  const ours = Object.entries(own.connection ?? {}).filter(([name]) => !inOptions.has(name.toLowerCase()))
  const options = { ...own, ...said, connection: { ...Object.fromEntries(ours), ...said.connection } }
  // Its types know one host alone; it takes several, each with its port.
  return postgres(options as object)
}
