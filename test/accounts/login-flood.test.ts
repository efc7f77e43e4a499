import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { COST } from '../../src/accounts/passwords/passwords.ts'
import { needsPostgres } from '../support/database.ts'
import { freshNetwork, limited } from '../support/limits.ts'
import { address, startService } from '../support/service.ts'

const LOGINS = 200
const MIB = 1024 * 1024

/** As on two cores, with a queue short enough for a busy machine to finish before requests time out. */
const hashing = { cost: COST, running: 1, waiting: 6 }

/** Needs PostgreSQL: the embedded database runs on the event loop, and 200 queries at once block it. */

void test('fault 25: 200 logins at once hold up no other requests', needsPostgres, async (t) => {
  const { signIn, call, admin, app } = await startService(t, limited, { hashing })
  await call('GET', '/papers/', { as: admin })
  const before = process.memoryUsage.rss()
  let most = before
  const start = performance.now()
  const elapsed = () => performance.now() - start

  const open = new Set<object>()
  const logins = Array.from({ length: LOGINS }, async () => {
    const login = {}
    open.add(login)
    const { status, headers } = await signIn(address(), 'wrong horse battery', freshNetwork())
    open.delete(login)
    return { status, ms: elapsed(), retryAfter: headers['retry-after'] }
  })
  const reads: number[] = []
  const statuses = new Set<number>()
  while (open.size > 0) {
    const since = performance.now()
    const [live, papers] = await Promise.all([
      app.inject({ url: '/health/live' }),
      call('GET', '/papers/', { as: admin, from: freshNetwork() }),
    ])
    reads.push(performance.now() - since)
    statuses.add(live.statusCode).add(papers.status)
    most = Math.max(most, process.memoryUsage.rss())
    await pause(5)
  }
  t.strictSame([...statuses], [200], 'everybody else is served')

  const answers = await Promise.all(logins)
  const busy = answers.filter(({ status }) => status === 503)
  const served = answers.filter(({ status }) => status === 400)
  t.equal(busy.length + served.length, LOGINS)
  t.ok(busy.length > 0 && served.length > 0, `${served.length} compared, ${busy.length} turned away`)
  for (const { retryAfter } of busy) t.equal(retryAfter, '1')

  const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!
  const [turnedAway, compared] = [busy, served].map((some) => middle(some.map(({ ms }) => ms)))
  t.ok(
    turnedAway! < compared!,
    `turned away in ${turnedAway!.toFixed(0)} ms, compared in ${compared!.toFixed(0)} ms`,
  )
  t.ok(middle(reads) < compared! / 2, `reads do not queue with them: ${middle(reads).toFixed(0)} ms`)
  // Each comparison takes 64 MiB; 200 at once would take 12.8 GB.
  t.ok(most - before < 600 * MIB, `${((most - before) / MIB).toFixed(0)} MiB more`)
  t.comment(
    `${busy.length} turned away within ${Math.max(...busy.map(({ ms }) => ms)).toFixed(0)} ms, ` +
      `${served.length} compared within ${Math.max(...served.map(({ ms }) => ms)).toFixed(0)} ms; ` +
      `reads ${middle(reads).toFixed(0)} ms (median of ${reads.length}), ${((most - before) / MIB).toFixed(0)} MiB`,
  )
})
