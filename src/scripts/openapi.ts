import { writeFileSync } from 'node:fs'

import { format } from 'prettier'
import { buildApp } from '../app.ts'
import { readConfig } from '../config/config.ts'
import { createPglite, overPglite } from '../database/embedded/embedded.ts'

/** `npm run openapi`: writes openapi.json from the routes, as ENVIRONMENT=local serves it. */

const config = readConfig({
  ENVIRONMENT: 'local',
  SECRET_KEY: 'only for making the document'.padEnd(32, '.'),
})
const app = await buildApp(config, { connection: overPglite(await createPglite()) })
writeFileSync('openapi.json', await format(JSON.stringify(app.swagger()), { parser: 'json' }))
await app.close()
console.log('openapi.json written')
