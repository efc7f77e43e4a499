import { parseArgs } from 'node:util'
import { is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { adopt } from '../adopt/adopt.ts'
import { adoptionFault } from '../adopt/faults.ts'
import { resources } from '../app.ts'
import { type Config, ConfigError, loadConfig } from '../config/config.ts'
import * as tables from '../database/tables.ts'
import { endOnSignals } from './signals.ts'

/**
 * `npm run adopt`, or `node dist/scripts/adopt.js`: takes over the database of a FastAPI template (docs/from-fastapi-template.md), in
 * one transaction. Exits with 0 where it is adopted, or was before; with 1 where nothing was changed.
 */
const USAGE = `npm run adopt -- [options]     (node dist/scripts/adopt.js [options] in an image)

  --dry-run        says what it would do, and changes nothing
  --rename         where addresses differ by case alone, gives all but the first of them another
  --token-days 8   how long the template's access tokens live at most; 0: none is honoured
  --bridge         leaves views under the template's names, for its backend
  --bridge-off     takes them away again`

const MOST_DAYS = 366

function readOptions() {
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      rename: { type: 'boolean', default: false },
      'token-days': { type: 'string', default: '8' },
      bridge: { type: 'boolean', default: false },
      'bridge-off': { type: 'boolean', default: false },
    },
  })
  const tokenDays = Number(values['token-days'])
  if (!/^\d+(\.\d+)?$/.test(values['token-days']) || tokenDays > MOST_DAYS)
    throw new TypeError(`--token-days: a number from 0 to ${MOST_DAYS} is needed`)
  if (values.bridge && values['bridge-off'])
    throw new TypeError('--bridge and --bridge-off: one of them, please')
  const { 'dry-run': dryRun, 'bridge-off': bridgeOff, rename, bridge } = values
  return { dryRun, rename, bridge, bridgeOff, tokenDays }
}

function optionsOrExit(): ReturnType<typeof readOptions> {
  try {
    return readOptions()
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return process.exit(2)
  }
}

endOnSignals()
const options = optionsOrExit()
let config: Config | undefined
try {
  config = loadConfig()
  const url = config.MIGRATION_DATABASE_URL ?? config.DATABASE_URL
  if (url === undefined) throw new ConfigError(["DATABASE_URL: needed; that of the template's database"])
  const all = [...Object.values(tables), ...resources.map(({ table }) => table)].filter((table) =>
    is(table, PgTable),
  )
  await adopt(url, all, options, (line) => console.log(line))
} catch (error) {
  console.error(adoptionFault(error, config) ?? error)
  process.exitCode = 1
}
