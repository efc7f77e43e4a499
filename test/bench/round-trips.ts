import postgres from 'postgres'
import { load } from './load.ts'
import { bounded, part, progress } from './report.ts'
import { type Route, change, create, list, one } from './requests.ts'
import { startServer } from './servers.ts'
import type { World } from './world.ts'

const REQUESTS = 200

/**
 * Counted by the database: outside a transaction each statement is one of its own, and one round trip. What a start
 * costs is taken off by comparing two of them. A server's connections report when they end, so each count has its own.
 */
export async function roundTrips(server: string, world: World) {
  part('Round trips a request, from pg_stat_database')
  const sql = postgres(server, { max: 1 }) // in another database, so as not to be counted
  const transactions = async (route: Route, amount: number) => {
    progress(`${route.name}, ${amount} requests`)
    const count = async () => {
      const [row] = await sql<{ count: number }[]>`
        select (xact_commit + xact_rollback)::int as count from pg_stat_database
        where datname = ${new URL(world.url).pathname.slice(1)}`
      return row!.count
    }
    const before = await count()
    const service = await startServer({ what: 'service', env: { DATABASE_URL: world.url } })
    const requests = (connection: number) => route.requests(world, connection)
    await load({ urls: [service.url], requests, connections: 4, amount })
    await service.stop()
    return (await count()) - before
  }
  for (const route of [list, one, create, change]) {
    const few = await transactions(route, REQUESTS)
    const many = await transactions(route, 3 * REQUESTS)
    bounded(route.name, (many - few) / (2 * REQUESTS), { most: 2 })
  }
  await sql.end()
}
