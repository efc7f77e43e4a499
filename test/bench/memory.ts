import { installNode24 } from '../support/node24.ts'
import { load } from './load.ts'
import { bounded, digits, part, progress, row } from './report.ts'
import { routes } from './requests.ts'
import { startServer } from './servers.ts'
import type { World } from './world.ts'

/** Memory after so many requests of all five routes, and after as many again, on Node 24. */
export async function memory(world: World, amount: number) {
  const { node, version, remove } = installNode24()
  try {
    part(`Memory on Node ${version}`)
    const service = await startServer({ what: 'service', env: { DATABASE_URL: world.url }, node })
    row('when ready', `${digits(service.rss())} MB`)
    const requests = (connection: number) => routes.flatMap((route) => route.requests(world, connection))
    const after = async () => {
      progress(`${amount} requests`)
      await load({ urls: [service.url], requests, connections: 32, amount })
      return service.rss()
    }
    const first = await after()
    bounded(`after ${amount} requests`, first, { most: 160, unit: ' MB' })
    const second = await after()
    bounded(`after ${amount} more, ratio`, second / first, { most: 1.05, more: `${digits(second)} MB` })
    await service.stop()
  } finally {
    remove()
  }
}
