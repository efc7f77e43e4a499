import { parseArgs } from 'node:util'
import { resources } from '../app.ts'
import { examineConfig } from '../config/config.ts'
import { databaseFindings, schemaFindings } from '../doctor/database.ts'
import { type Finding, lineOf } from '../doctor/findings.ts'
import { instanceFindings } from '../doctor/instance.ts'
import { mailFinding } from '../doctor/mail.ts'
import { providersFindings } from '../doctor/providers.ts'
import { settingsFindings } from '../doctor/settings.ts'
import { endOnSignals } from './signals.ts'

/**
 * `npm run doctor`, or `node dist/scripts/doctor.js`: checks everything that the service needs, changes nothing, and prints
 * one line each, with the fix. Works even if the service can't start. `--url` also checks a running instance. Exits with 1
 * if something is wrong (✗), else 0.
 */
endOnSignals()
const { values } = parseArgs({ options: { url: { type: 'string' } } })
const { config, faults } = examineConfig()
const tables = resources.map(({ table }) => table)
let inTheWay = 0

function tell(finding: Finding) {
  console.log(lineOf(finding))
  if (finding.mark === '✗') inTheWay += 1
}

for (const finding of settingsFindings(config, faults)) tell(finding)
for (const finding of schemaFindings(tables)) tell(finding)
for await (const finding of databaseFindings(config, tables)) tell(finding)
tell(await mailFinding(config))
for await (const finding of providersFindings(config)) tell(finding)
if (values.url !== undefined) for await (const finding of instanceFindings(values.url, config)) tell(finding)

console.log(inTheWay === 0 ? 'Nothing is in the way.' : `In the way: ${inTheWay}`)
process.exitCode = inTheWay === 0 ? 0 : 1
