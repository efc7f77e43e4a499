import { coverageSuffices } from './support/coverage.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm test`: the suite on the embedded database. With all files its coverage has to suffice. */

const files = process.argv.slice(2)
const whole = files.length === 0
const totals = await runSuite(files, { coverage: whole })
const suffices = !whole || (await coverageSuffices())
finish(suffices ? totals : { ...totals, failed: totals.failed + 1 })
