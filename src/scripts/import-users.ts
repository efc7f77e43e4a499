import { createReadStream } from 'node:fs'
import { parseArgs } from 'node:util'
import { BATCH, importUsers } from '../accounts/import/import-users.ts'
import { passwords } from '../accounts/passwords/passwords.ts'
import { type Config, loadConfig } from '../config/config.ts'
import { connect } from '../database/connect.ts'
import { startFault } from '../operations/start-faults.ts'
import { endOnSignals } from './signals.ts'

/**
 * `npm run import-users -- users.ndjson`, or `node dist/scripts/import-users.js`: adds users of another system, who go on
 * with their passwords. A JSON object a line; `-` reads standard input. docs/operations.md has the fields and kinds of hashes.
 *
 *   --dry-run           reports, and adds nobody
 *   --partial           adds the users of the good lines; else all or nobody
 *   --recover-unknown   users without a known hash are added, and mailed a link to choose a password
 */
const USAGE = 'npm run import-users -- users.ndjson [--dry-run] [--partial] [--recover-unknown]'

/** Of the transaction: a million unsalted hashes take half a day. */
const TIMEOUT_MS = 24 * 3_600_000
/** The queue of hashes is this process's alone. */
const PATIENCE_MS = 2 ** 31 - 1

endOnSignals()
let config: Config | undefined
try {
  const { file, ...options } = readArguments()
  config = loadConfig()
  if (options.recovers && config.mail === 'off')
    throw new TypeError('--recover-unknown: mail is off; set SMTP_HOST')
  const connection = await connect({ ...config, DATABASE_LONG_TIMEOUT_MS: TIMEOUT_MS })
  try {
    const { migrate, checkMigrated } = connection
    await (config.MIGRATE_ON_START ? migrate : (checkMigrated ?? migrate))()
    const services = {
      db: connection.db,
      config,
      passwords: passwords({ waiting: BATCH, patience: PATIENCE_MS }),
    }
    const input = file === '-' ? process.stdin : createReadStream(file)
    const { isImported, good, faulty, lines, kinds } = await importUsers(services, input, options, {
      onFault: (line, fault) => console.log(`line ${line}: ${fault}`),
      onProgress,
    })
    if (process.stderr.isTTY) process.stderr.write('\n')
    const ofKinds = [...kinds].map(([kind, count]) => `${kind} ${count}`).join(', ')
    console.log(`${lines} lines: ${good} good (${ofKinds || 'no hashes'}), ${faulty} left out`)
    console.log(isImported ? `Imported ${good} users.` : 'Imported nobody.')
    process.exitCode = isImported || (options.isDryRun && faulty === 0) ? 0 : 1
  } finally {
    await connection.close()
  }
} catch (error) {
  console.error(startFault(error, config) ?? faultOfFile(error) ?? error)
  process.exitCode = 1
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'dry-run': { type: 'boolean', default: false },
      partial: { type: 'boolean', default: false },
      'recover-unknown': { type: 'boolean', default: false },
    },
  })
  const [file, ...more] = positionals
  if (file === undefined || more.length > 0) throw new TypeError(USAGE)
  return {
    file,
    isDryRun: values['dry-run'],
    takesPart: values.partial,
    recovers: values['recover-unknown'],
  }
}

function onProgress(lines: number) {
  if (process.stderr.isTTY) process.stderr.write(`\r${lines.toLocaleString('en')} lines`)
}

/** Of the arguments or the file, in a line. */
function faultOfFile(error: unknown): string | undefined {
  const { code, syscall, message } = error as NodeJS.ErrnoException
  if (error instanceof TypeError && (code === undefined || code.startsWith('ERR_PARSE_ARGS'))) return message
  return syscall === 'open' || syscall === 'read' ? message : undefined
}
