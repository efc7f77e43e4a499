import { dump } from './support/dumps.ts'
import { groupedTests } from './support/groups.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm test`: the suite on the embedded database. */

await dump('migrated') // else the first three processes would each make it
const files = process.argv.slice(2)
finish(await runSuite(files.length > 0 ? files : groupedTests()))
