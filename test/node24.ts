import { delimiter } from 'node:path'
import { chosenTests } from './support/groups.ts'
import { installNode24 } from './support/node24.ts'
import { finish, runSuite } from './support/suite.ts'

/** `npm run test:node24`: the suite once more on Node 24, which the npm package `node` brings, without what takes long. */

const { bin, node, version, remove } = installNode24()
try {
  console.log(`On Node ${version}`)
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}` }
  finish(await runSuite(chosenTests(process.argv.slice(2), 'otherNode'), { node, env }))
} finally {
  remove()
}
