import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/**
 * `npm run build`: the service without tools of development, in `dist`. Plain JavaScript and Node alone, as it runs
 * before anything is built, and on systems without a shell.
 *
 *   npm run build -- --revision 1a2b3c   where there is no repository to ask, as in an image
 */
const { values } = parseArgs({
  options: { out: { type: 'string', default: 'dist' }, revision: { type: 'string', default: '' } },
})

rmSync(values.out, { recursive: true, force: true, maxRetries: 3 })
node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', values.out)
node('--import=tsx', 'src/scripts/build-emails.ts', values.out)
const revision = values.revision || revisionOfFolder()
writeFileSync(join(values.out, 'build.json'), JSON.stringify({ ...(revision !== '' && { revision }) }))

/** @param {string[]} args */
function node(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** The commit, and whether something was changed since; empty where there is no repository, or no git. */
function revisionOfFolder() {
  const args = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*']
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : ''
}
