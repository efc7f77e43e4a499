import { setTimeout as pause } from 'node:timers/promises'
import { load } from './load.ts'
import { bounded, digits, part, progress, row } from './report.ts'
import { list } from './requests.ts'
import { startServer } from './servers.ts'
import type { World } from './world.ts'

const CLIENTS = 1000
/** V8 gives back what it no longer needs when it has had nothing to do for about ten seconds. */
const IDLE_SECONDS = 20

/** Twice as much as can be answered, from a thousand clients. */
export async function overload(world: World, seconds: number) {
  part('Overload')
  const service = await startServer({ what: 'service', env: { DATABASE_URL: world.url } })
  const requests = () => list.requests(world, 0)
  const urls = [service.url]
  await load({ urls, requests, connections: 32, seconds: 2 })
  const peak = await load({ urls, requests, connections: 32, seconds: Math.min(5, seconds) })
  const before = service.rss()
  progress(`${seconds} s at twice the capacity`)
  const rate = Math.ceil(2 * peak.perSecond)
  const over = await load({ urls, requests, connections: Math.min(CLIENTS, rate), seconds, rate })
  const during = service.rss()
  progress(`${IDLE_SECONDS} s of nothing`)
  await pause(IDLE_SECONDS * 1000)
  bounded('throughput at twice the capacity, ratio to the peak', over.perSecond / peak.perSecond, {
    least: 0.8,
    more: `${digits(over.perSecond)} : ${digits(peak.perSecond)} /s, ${JSON.stringify(over.statuses)}`,
  })
  bounded('503 after, p99', over.p99OfRefusals, { most: 1000, unit: ' ms' })
  row('answers, p99', `${digits(over.p99)} ms`)
  bounded(`memory ${IDLE_SECONDS} s later, ratio`, service.rss() / before, {
    most: 1.2,
    more: `${digits(before)} MB before, ${digits(during)} at the end, ${digits(service.rss())} after`,
  })
  await service.stop()
}
