import { buildApp } from '../app.ts'
import { readConfig } from '../config/config.ts'
import { createPglite, overPglite } from '../database/embedded/embedded.ts'
import { statements } from '../database/statement.ts'

/**
 * `npm run sql`: names of all statements. `npm run sql -- 'reset password'`: its text, to be pasted into psql, where
 * `prepare`, `execute` and `explain` take it as it is.
 */
const config = readConfig({
  ENVIRONMENT: 'local',
  SECRET_KEY: 'only for printing statements'.padEnd(32, '.'),
})
const app = await buildApp(config, { connection: overPglite(await createPglite()) })
await app.close()

const names = process.argv.slice(2)
const unknown = names.filter((name) => !statements.has(name))
for (const name of names) console.log(`${statements.get(name)?.text ?? ''};\n`)
if (names.length === 0 || unknown.length > 0) console.log([...statements.keys()].toSorted().join('\n'))
if (unknown.length > 0) {
  console.error(`No statement is named ${unknown.join(', ')}; these are.`)
  process.exitCode = 1
}
