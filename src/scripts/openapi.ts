import { writeFileSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { format } from 'prettier'
import { buildApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { overPglite } from '../db/embedded.ts'

/** `npm run openapi`: writes openapi.json, as ENVIRONMENT=local serves it, from the routes. */

const config = readConfig({
  ENVIRONMENT: 'local',
  SECRET_KEY: 'only for making the document'.padEnd(32, '.'),
})
const app = await buildApp(config, { connection: overPglite(new PGlite()) })
writeFileSync('openapi.json', await format(JSON.stringify(app.swagger()), { parser: 'json' }))
await app.close()
console.log('openapi.json written')
