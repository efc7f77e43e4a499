import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { startPostgres } from '../support/postgres.ts'
import { flat } from './flat.ts'
import { install } from './install.ts'
import { logins } from './logins.ts'
import { memory } from './memory.ts'
import { overload } from './overload.ts'
import { replicas } from './replicas.ts'
import { printTable } from './report.ts'
import { roundTrips } from './round-trips.ts'
import { startServer } from './servers.ts'
import { starts } from './starts.ts'
import { versus } from './versus.ts'
import { type World, makeWorld } from './world.ts'

/**
 * `npm run bench`: how fast the service is, against the same by hand and against what it should be. All of it takes
 * 15 minutes on two cores that do nothing else; `-- --quick` takes two, with less of some. Names of parts run these
 * alone: `npm run bench -- versus flat`. Linux only, as processes are measured by /proc.
 */
const args = process.argv.slice(2)
const quick = args.includes('--quick')
const chosen = args.filter((arg) => !arg.startsWith('--'))

// Many short rounds rather than few long ones: a machine is fast and slow by turns, and the median is over more of them.
const effort = quick
  ? { warmUp: 1.5, rounds: 3, seconds: 1, replicas: 1, burst: 3, overload: 5, requests: 4_000, starts: 2 }
  : { warmUp: 5, rounds: 13, seconds: 1, replicas: 3, burst: 8, overload: 30, requests: 100_000, starts: 5 }
const big = quick ? { users: 1_000, items: 100_000 } : { users: 100_000, items: 1_000_000 }

const parts: Record<string, (world: World, server: string) => Promise<void> | void> = {
  async versus(world) {
    const env = { DATABASE_URL: world.url }
    const service = await startServer({ what: 'service', env })
    const baseline = await startServer({ what: 'baseline', env })
    await versus(world, service, baseline, effort)
    await Promise.all([service.stop(), baseline.stop()])
  },
  roundTrips: (world, server) => roundTrips(server, world),
  async flat(world, server) {
    const small = await makeWorld(server, { users: 100, items: 1_000 })
    await flat(
      small,
      world,
      `${big.items.toLocaleString('en')}, ${big.users.toLocaleString('en')} users`,
      effort,
    )
    await small.close()
  },
  logins: (world) => logins(world, effort.burst),
  overload: (world) => overload(world, effort.overload),
  starts: (world) => starts(world, effort.starts),
  memory: (world) => memory(world, effort.requests),
  install,
  replicas: (world) => replicas(world, effort.replicas),
}
const inQuick = new Set(['versus', 'overload'])
const isRun = (name: string) => (chosen.length > 0 ? chosen.includes(name) : !quick || inQuick.has(name))
const unknown = chosen.filter((name) => !(name in parts))
if (unknown.length > 0)
  throw new Error(`Parts are ${Object.keys(parts).join(', ')}; there is no ${unknown.join()}`)

execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'ignore' })
const postgresql = await startPostgres({ autovacuum: 'off', shared_buffers: '512MB' })
console.log(
  `Node ${process.version}, PostgreSQL ${postgresql.version}, ${cpus().length} × ${cpus()[0]?.model}`,
)
try {
  console.log(`seeding ${big.items} items`)
  const world = await makeWorld(postgresql.url, big)
  for (const [name, run] of Object.entries(parts)) if (isRun(name)) await run(world, postgresql.url)
  await world.close()
} finally {
  await postgresql.stop()
}
printTable()
