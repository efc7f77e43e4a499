import { type Config, loadConfig } from '../config/config.ts'
import { connect } from '../database/connect.ts'
import { startFault } from '../operations/start-faults.ts'
import { endOnSignals } from './signals.ts'

/** Longest wait for a migration in another process. */
const WAIT_MS = 60_000

/** `npm run db:migrate`: applies migrations without starting the service. */
endOnSignals()
let config: Config | undefined
try {
  config = loadConfig()
  const connection = await connect(config)
  try {
    await connection.migrate(WAIT_MS)
    console.log('The database is up to date.')
  } finally {
    await connection.close()
  }
} catch (error) {
  console.error(startFault(error, config) ?? error)
  process.exitCode = 1
}
