import { dump } from './support/dumps.ts'
import { chosenTests } from './support/groups.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm test`, and `npm run test:long` for what takes long (support/groups.ts): the suite on the embedded database. */

const named = process.argv.slice(2)
const isLong = named[0] === '--long'
const first = dump('migrated') // else the first three processes would each make it
finish(await runSuite(isLong ? chosenTests(named.slice(1), 'long') : chosenTests(named, 'short'), { first }))
