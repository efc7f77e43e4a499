import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { launch, temporaryFolder } from '../support/process.ts'
import { ask } from './support/client.ts'
import { ANSWER_MS, RECOVERY_MS, setScene, slowestOf, untilStatus } from './support/scene.ts'

const PEOPLE = 6
const AWAY_MS = 3_000
const START_MS = 30_000
/** The first time there is also a database to prepare, and a password to hash: that takes what the machine takes. */
const PREPARED_MS = 20_000

void test('fault 27: PostgreSQL is away at the start, comes, and goes under load', async (t) => {
  const scene = await setScene(t)
  const { server, env } = scene
  await server.halt('SIGINT')
  const service = await launch(t, { folder: temporaryFolder(t), env })
  const health = (path: string) => ask(`${service.url}/health/${path}`)
  await untilStatus(`${service.url}/health/live`, 200, START_MS)
  t.equal((await health('ready')).status, 503)
  const refused = await ask(`${service.url}/api/v1/login/access-token`, {
    method: 'POST',
    form: { username: 'admin@example.com', password: 'changethis' },
  })
  t.match(refused, { status: 503, body: { detail: 'Service Unavailable' } })
  t.ok(refused.ms < ANSWER_MS, 'and that soon')

  await server.resume()
  await untilStatus(`${service.url}/health/ready`, 200, PREPARED_MS)
  const recoveries: number[] = []
  const load = await scene.live(service.url, PEOPLE)
  const signals = ['SIGINT', 'SIGQUIT', 'SIGINT'] as const
  let longest = refused.ms
  for (const signal of signals) {
    await pause(1_000)
    await server.halt(signal)
    const since = load.quick.length
    const statuses = new Set<string>()
    for (const end = Date.now() + AWAY_MS; Date.now() < end; await pause(100)) {
      const [live, ready] = await Promise.all([health('live'), health('ready')])
      statuses.add(`live ${live.status}, ready ${ready.status}`)
    }
    t.same([...statuses], ['live 200, ready 503'])
    const meanwhile = load.quick.slice(since)
    t.ok(meanwhile.length > 0, 'people go on asking')
    longest = Math.max(longest, slowestOf(meanwhile))
    await server.resume()
    recoveries.push(await untilStatus(`${service.url}/health/ready`, 200, RECOVERY_MS))
  }
  await pause(1_000)
  await load.stop()
  t.equal(service.child.exitCode, null, 'the same process all the time')
  t.ok(longest < ANSWER_MS, `every answer came within ${ANSWER_MS} ms: ${longest}`)
  await scene.audit(signals.length + 1, 'fault 27')
  t.comment(
    `figure: fault 27: the slowest answer took ${Math.round(longest)} ms; ready again after at most ${Math.round(Math.max(...recoveries))} ms`,
  )
})
