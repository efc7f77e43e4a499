import { execFileSync } from 'node:child_process'
import { startPostgres } from '../support/postgres.ts'
import { printTable } from './report.ts'
import { startServer } from './servers.ts'
import { makeWorld } from './world.ts'
import { versus } from './versus.ts'

const quick = process.argv.includes('--quick')
execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
const postgresql = await startPostgres()
try {
  const world = await makeWorld(
    postgresql.url,
    quick ? { users: 1000, items: 100_000 } : { users: 100_000, items: 1_000_000 },
  )
  const env = { DATABASE_URL: world.url }
  const service = await startServer({ what: 'service', env })
  const baseline = await startServer({ what: 'baseline', env })
  await versus(world, service, baseline, quick ? { rounds: 3, seconds: 1 } : { rounds: 6, seconds: 3 })
  await service.stop()
  await baseline.stop()
  await world.close()
} finally {
  await postgresql.stop()
}
printTable()
