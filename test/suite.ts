import { dump } from './support/dumps.ts'
import { chosenTests } from './support/groups.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm test`: the suite on the embedded database, without test/processes. */

const first = dump('migrated') // else the first three processes would each make it
finish(await runSuite(chosenTests(process.argv.slice(2), 'processes'), { first }))
