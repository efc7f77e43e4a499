import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkManifests, runManifests } from './examples/kubernetes.ts'
import { commandsOf } from './examples/pages.ts'
import { checkUnit, runUnit } from './examples/systemd.ts'
import { createDatabase } from './support/database.ts'
import { imageOf } from './support/dockerfile.ts'
import { freePort, startPostgres } from './support/postgres.ts'
import { finish } from './support/suite.ts'
import { isCI, missing } from './support/tools.ts'

/**
 * `npm run test:examples`: docs/examples/. What checks them is asked, and they are run: the unit by a systemd that is
 * booted for it, the Job and the Deployment of Kubernetes without one. Linux, as root.
 */

let [passed, failed] = [0, 0]

function seen(what: string, holds: boolean, detail = '') {
  if (holds) passed += 1
  else failed += 1
  console.log(holds ? `  ✓ ${what}` : `  ✗ ${what}: ${detail}`)
}

async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-examples-'))
  try {
    checkUnit(seen)
    checkManifests(seen)

    chmodSync(folder, 0o755)
    const app = join(folder, 'groundwork')
    execFileSync('git', ['clone', '--quiet', process.cwd(), app])
    const [build = ''] = commandsOf('systemd')
    execFileSync('sh', ['-ec', build], { cwd: app, stdio: ['ignore', 'ignore', 'inherit'] })

    const server = await startPostgres()
    try {
      const settings = async () => ({
        DATABASE_URL: await createDatabase(server.url),
        SECRET_KEY: 'only for tests, and long enough for that',
        FIRST_SUPERUSER_PASSWORD: 'not for anything real',
        PORT: String(await freePort()),
        METRICS_PORT: String(await freePort()),
      })
      await runManifests(seen, app, imageOf(readFileSync('Dockerfile', 'utf8')), await settings())
      await runUnit(seen, folder, app, {
        ...(await settings()),
        FIRST_SUPERUSER: 'admin@example.com',
        PUBLIC_URL: 'https://api.example.com',
      })
    } finally {
      await server.stop()
    }
  } catch (error) {
    console.error(error)
    failed += 1
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
  finish({ passed, failed })
}

const absent = missing(['systemd-analyze', '/lib/systemd/systemd', 'ps', 'setpriv', 'python3'])
if (process.getuid?.() !== 0) absent.unshift('root')
if (absent.length === 0) await run()
else {
  console.log(`Not run: there is no ${absent.join(', ')}`)
  process.exitCode = isCI ? 1 : 0
}
