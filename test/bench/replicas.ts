import { load } from './load.ts'
import { digits, part, progress, row } from './report.ts'
import { list } from './requests.ts'
import { startServer } from './servers.ts'
import type { World } from './world.ts'

/** Several processes of the service on one PostgreSQL. */
export async function replicas(world: World, seconds: number) {
  part('More than one process on one PostgreSQL')
  for (const count of [1, 2, 4]) {
    progress(`${count} processes`)
    const start = () => startServer({ what: 'service', env: { DATABASE_URL: world.url } })
    const services = await Promise.all(Array.from({ length: count }, start))
    const urls = services.map(({ url }) => url)
    const requests = () => list.requests(world, 0)
    await load({ urls, requests, connections: 32, seconds: 1 })
    const { perSecond, p99, statuses } = await load({ urls, requests, connections: 32, seconds })
    row(
      `${count}: ${list.name}`,
      `${digits(perSecond)} /s, p99 ${digits(p99)} ms, ${JSON.stringify(statuses)}`,
    )
    await Promise.all(services.map(({ stop }) => stop()))
  }
}
