import { isDeepStrictEqual } from 'node:util'
import { type Loaded, allGood, load } from './load.ts'
import { bounded, digits, median, part, progress, row } from './report.ts'
import { type Route, routes } from './requests.ts'
import type { Server } from './servers.ts'
import type { World } from './world.ts'

/** One round of one server: how fast, and CPU in milliseconds a request. */
export interface Round extends Loaded {
  readonly cpu: number
}

const CONNECTIONS = 32

/** Loads one server with one route for so many seconds. */
export async function round(server: Server, route: Route, world: World, seconds: number): Promise<Round> {
  const before = server.cpu()
  const requests = (connection: number) => route.requests(world, connection)
  const loaded = await load({ urls: [server.url], requests, connections: CONNECTIONS, seconds })
  allGood(loaded, route.name)
  return { ...loaded, cpu: ((server.cpu() - before) / loaded.answers) * 1000 }
}

export interface Rounds {
  /** Seconds before the first round: V8 compiles what is hot then, on the same two cores. */
  readonly warmUp: number
  readonly rounds: number
  readonly seconds: number
}

/**
 * The service against the baseline. They are loaded in turn and compared within each pair, first one first and then
 * the other, so that what else the machine does strikes both.
 */
export async function versus(
  world: World,
  service: Server,
  baseline: Server,
  { warmUp, rounds, seconds }: Rounds,
) {
  part('Against the same by hand: one process each, 32 connections, PostgreSQL')
  for (const route of routes) {
    await answersAreEqual(world, service, baseline, route)
    const pairs: { ours: Round; theirs: Round }[] = []
    progress(`${route.name}, warming up`)
    await round(service, route, world, warmUp)
    await round(baseline, route, world, warmUp)
    for (let n = 1; n <= rounds; n += 1) {
      progress(`${route.name}, round ${n} of ${rounds}`)
      if (n % 2 === 0) {
        const ours = await round(service, route, world, seconds)
        pairs.push({ ours, theirs: await round(baseline, route, world, seconds) })
      } else {
        const theirs = await round(baseline, route, world, seconds)
        pairs.push({ ours: await round(service, route, world, seconds), theirs })
      }
    }
    tell(route.name, pairs)
  }
  row('memory held at most', `${digits(service.peak())} MB, baseline ${digits(baseline.peak())} MB`)
}

function tell(name: string, pairs: readonly { ours: Round; theirs: Round }[]) {
  const both = (figure: (round: Round) => number, unit: string) =>
    `${digits(median(pairs.map(({ ours }) => figure(ours))))} : ${digits(median(pairs.map(({ theirs }) => figure(theirs))))} ${unit}`
  const ratio = (figure: (round: Round) => number) =>
    median(pairs.map(({ ours, theirs }) => figure(ours) / figure(theirs)))
  const perSecond = (round: Round) => round.perSecond
  const p99 = (round: Round) => round.p99
  const cpu = (round: Round) => round.cpu
  const p50 = (round: Round) => round.p50
  bounded(`${name}: throughput, ratio`, ratio(perSecond), { least: 0.95, more: both(perSecond, '/s') })
  bounded(`${name}: p99, ratio`, ratio(p99), { most: 1.2, more: both(p99, 'ms') })
  row(`${name}: p50; CPU a request`, `${both(p50, 'ms')}; ratio ${digits(ratio(cpu))} (${both(cpu, 'ms')})`)
}

/** A baseline that did something else would be no baseline. */
async function answersAreEqual(world: World, service: Server, baseline: Server, { name, requests }: Route) {
  const { method, path, headers, body } = requests(world, 0)[0]!
  const answer = async ({ url }: Server) => {
    const init = { method, headers, body } as RequestInit
    const sent = await fetch(url + path!, init)
    const told = (await sent.json()) as Record<string, unknown>
    // Of what is made anew, each has its own.
    if (method === 'POST') Object.assign(told, { id: '', created_at: '' })
    const { 'x-request-id': _id, date: _date, etag, ...rest } = Object.fromEntries(sent.headers)
    return { status: sent.status, headers: { ...rest, hasTag: etag !== undefined }, told }
  }
  const [ours, theirs] = [await answer(service), await answer(baseline)]
  if (isDeepStrictEqual(ours, theirs)) return
  const told = [ours, theirs].map((answer) => JSON.stringify(answer).slice(0, 600)).join(' : ')
  row(`${name}: service and baseline answer alike`, told, 'the same', false)
}
