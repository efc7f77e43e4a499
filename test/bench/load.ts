import { createHistogram } from 'node:perf_hooks'
import autocannon, { type Request, type Result } from 'autocannon'

/** What is sent, by how many connections at once, for how long. */
export interface Load {
  readonly urls: readonly string[]
  /** The requests of one connection, sent in turn. */
  requests(connection: number): Request[]
  readonly connections: number
  /** Seconds; with `amount`, until so many were answered. */
  readonly seconds?: number
  readonly amount?: number
  /** Requests a second at most; as fast as they are answered where left out. */
  readonly rate?: number
}

/** How it went. Latencies in milliseconds, of every answer. */
export interface Loaded {
  readonly answers: number
  /** Answers a second whose status is below 300, from the beginning to the last answer of any kind. */
  readonly perSecond: number
  /** The same from the first of them to the last: what opening connections costs is no part of it. */
  readonly steadyPerSecond: number
  readonly p50: number
  readonly p99: number
  /** Of answers with 503. */
  readonly p99OfRefusals: number
  /** How many answers had which status; `errors` are requests without one. */
  readonly statuses: Readonly<Record<string, number>>
}

/** Loads the servers at `urls`, the connections shared among them, and waits until it is over. */
export async function load({ urls, requests, connections, seconds, amount, rate }: Load): Promise<Loaded> {
  const [times, refusals] = [createHistogram(), createHistogram()]
  const statuses: Record<string, number> = {}
  const steady = createRate()
  const begun = performance.now()
  let last = begun
  let connection = 0
  // One after the other, so that every connection has a number of its own.
  const runs = urls.map((url) => {
    const options = {
      url,
      connections: Math.ceil(connections / urls.length),
      ...(amount === undefined ? { duration: seconds! } : { amount: Math.ceil(amount / urls.length) }),
      ...(rate !== undefined && { overallRate: Math.ceil(rate / urls.length) }),
      requests: requests(0),
      setupClient: (client: autocannon.Client) => client.setRequests(requests(connection++)),
    }
    const record = (status: number, milliseconds: number) => {
      // autocannon's own latencies are whole milliseconds.
      const microseconds = Math.max(1, Math.round(milliseconds * 1000))
      ;(status === 503 ? refusals : times).record(microseconds)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status < 300) steady.record()
      last = performance.now()
    }
    return new Promise<Result>((resolve, reject) => {
      const done = (error: Error | null, result: Result) => (error ? reject(error) : resolve(result))
      autocannon(options, done).on('response', (_client, status, _bytes, time) => record(status, time))
    })
  })
  for (const { errors } of await Promise.all(runs)) if (errors > 0) statuses.errors = errors
  const good = Object.entries(statuses).reduce((sum, [status, n]) => sum + (Number(status) < 300 ? n : 0), 0)
  return {
    answers: times.count + refusals.count,
    perSecond: good / ((last - begun) / 1000),
    steadyPerSecond: steady.perSecond(),
    p50: times.percentile(50) / 1000,
    p99: times.percentile(99) / 1000,
    p99OfRefusals: refusals.count > 0 ? refusals.percentile(99) / 1000 : 0,
    statuses,
  }
}

/** How often something happens, from its first time to its last. */
export function createRate() {
  let [times, first, last] = [0, 0, 0]
  return {
    record() {
      last = performance.now()
      if ((times += 1) === 1) first = last
    },
    perSecond: () => (times > 1 ? ((times - 1) * 1000) / (last - first) : 0),
  }
}

/** That a load was answered as it was meant to be, so that no figure is one of failures. */
export function allGood({ statuses }: Loaded, what: string): void {
  const bad = Object.entries(statuses).filter(([status]) => !(Number(status) < 300))
  if (bad.length > 0) throw new Error(`${what}: answered with ${JSON.stringify(Object.fromEntries(bad))}`)
}
