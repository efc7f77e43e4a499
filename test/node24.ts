import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { finish, runSuite } from './support/suite.ts'

/** `npm run test:node24`: the suite once more on Node 24, which the npm package `node` brings. */

const folder = mkdtempSync(join(tmpdir(), 'groundwork-node24-'))
try {
  execFileSync('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts=false', 'node@24'], {
    stdio: 'pipe',
  })
  const bin = join(folder, 'node_modules', 'node', 'bin')
  const node = join(bin, 'node')
  console.log(`On Node ${execFileSync(node, ['--version']).toString().trim()}`)
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}` }
  finish(await runSuite(process.argv.slice(2), { node, env }))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
