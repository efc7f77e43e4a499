import { dump } from './support/dumps.ts'
import { type Part, chosenTests } from './support/groups.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm test`, `test:long` and `test:processes` (support/groups.ts): the suite on the embedded database. */

const PART = '--part='
const args = process.argv.slice(2)
const part = args.find((arg) => arg.startsWith(PART))?.slice(PART.length) ?? 'short'
const named = args.filter((arg) => !arg.startsWith(PART))
const first = dump('migrated') // else the first three processes would each make it
finish(await runSuite(chosenTests(named, part as Part), { first }))
