import { bounded, digits, median, part, progress, row } from './report.ts'
import { type Route, everybodys, fromCursor, list, one } from './requests.ts'
import { type Server, startServer } from './servers.ts'
import { round } from './versus.ts'
import type { Rounds } from './versus.ts'
import type { World } from './world.ts'

/** The same requests where there is little and where there is much. */
export async function flat(small: World, big: World, what: string, { warmUp, rounds, seconds }: Rounds) {
  part(`Flat: 1,000 items against ${what}`)
  // As autovacuum would have, which is off so that it strikes no round.
  for (const { sql } of [small, big]) await sql`vacuum`
  const [few, many] = await Promise.all(
    [small, big].map(({ url }) => startServer({ what: 'service', env: { DATABASE_URL: url } })),
  )
  type Asked = (seconds: number) => Promise<number>
  const p50s = (route: Route, server: Server, world: World) => async (seconds: number) =>
    (await round(server, route, world, seconds)).p50
  const compare = async (name: string, a: Asked, b: Asked, most: number) => {
    const pairs: [number, number][] = []
    progress(`${name}, warming up`)
    for (const ask of [a, b]) await ask(warmUp / 2)
    for (let n = 1; n <= rounds; n += 1) {
      progress(`${name}, round ${n} of ${rounds}`)
      if (n % 2 === 0) {
        const second = await b(seconds)
        pairs.push([await a(seconds), second])
      } else pairs.push([await a(seconds), await b(seconds)])
    }
    const [small, big] = [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))]
    const more = `${digits(small)} : ${digits(big)} ms`
    bounded(`${name}: p50, ratio`, median(pairs.map(([a, b]) => b / a)), { most, more })
  }
  for (const route of [list, one])
    await compare(route.name, p50s(route, few!, small), p50s(route, many!, big), 1.2)
  await compare(everybodys.name, p50s(everybodys, few!, small), p50s(everybodys, many!, big), 1.5)
  const deep = await fromCursor(many!.url, big)
  if (deep)
    await compare(
      `${everybodys.name}, the last page by cursor`,
      p50s(everybodys, many!, big),
      p50s(deep, many!, big),
      1.2,
    )
  else row('following cursor to the last item', 'skipped: lists have no next_cursor yet')
  await Promise.all([few!.stop(), many!.stop()])
}
