import { loadConfig } from '../config.ts'
import { connect } from '../db/connect.ts'

/** `npm run db:migrate`: brings the schema up to date without starting the service. */
const connection = await connect(loadConfig())
try {
  await connection.migrate()
  console.log('The database is up to date.')
} finally {
  await connection.close()
}
