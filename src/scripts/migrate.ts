import { type Config, loadConfig } from '../config.ts'
import { connect } from '../db/connect.ts'
import { startFault } from '../start-faults.ts'

/** `npm run db:migrate`: brings the schema up to date without starting the service. */
let config: Config | undefined
try {
  config = loadConfig()
  const connection = await connect(config)
  try {
    await connection.migrate()
    console.log('The database is up to date.')
  } finally {
    await connection.close()
  }
} catch (error) {
  console.error(startFault(error, config) ?? error)
  process.exitCode = 1
}
