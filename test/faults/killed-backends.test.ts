import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { type Load } from './support/lives.ts'
import { RECOVERY_MS, ROUNDS, type Scene, anyOf, between, setScene, untilStatus } from './support/scene.ts'

const PEOPLE = 6
const KINDS = 16
/** A slow machine plays more rounds until every kind of write was acknowledged, and not for ever. */
const MOST_ROUNDS = 3 * Math.max(20, ROUNDS)

void test('fault 28: PostgreSQL restarted, and backends killed, in the middle of every kind of write', async (t) => {
  const scene = await setScene(t)
  const service = await scene.startService()
  const load = await scene.live(service.url, PEOPLE)
  await pause(1_000)
  const recoveries: number[] = []
  let rounds = 0
  for (; rounds < ROUNDS || (scene.ledger.kinds().length < KINDS && rounds < MOST_ROUNDS); rounds++) {
    await anyOf([killBackends, killBackends, crash, restart, killOne])(scene)
    const answered = load.quick.length
    recoveries.push(await untilStatus(`${service.url}/health/ready`, 200, RECOVERY_MS))
    recoveries.push(await untilAcknowledged(load, answered))
    await pause(between(100, 500))
  }
  await load.stop()
  t.equal(service.child.exitCode, null, 'the same process all the time')
  const { kinds } = await scene.audit(rounds, 'fault 28')
  t.equal(kinds.length, KINDS, `every kind of write was played: ${kinds.join(', ')}`)
  t.comment(`figure: fault 28: well again within ${Math.round(Math.max(...recoveries))} ms`)
  t.ok(Math.max(...recoveries) < RECOVERY_MS)
})

/** Every connection of the service is ended at any moment of a second, again and again. */
async function killBackends({ sql }: Scene) {
  for (const end = Date.now() + 1_000; Date.now() < end; await pause(between(5, 80)))
    await sql`
      select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'groundwork'
        and random() < 0.5`
}

/** One backend ends as by the kernel, out of memory: PostgreSQL restarts all of them and recovers. */
async function killOne({ sql }: Scene) {
  const [backend] = await sql<{ pid: number }[]>`
    select pid from pg_stat_activity where application_name = 'groundwork' order by random() limit 1`
  if (!backend) return
  try {
    process.kill(backend.pid, 'SIGKILL')
  } catch {
    return // it ended by itself meanwhile
  }
  // Its parent may notice later than the next statement is sent, which then fails.
  const isGone = async () => (await sql`select from pg_stat_activity where pid = ${backend.pid}`).length === 0
  for (const end = Date.now() + RECOVERY_MS; Date.now() < end; await pause(100))
    if (await isGone().catch(() => false)) return
}

async function crash({ server }: Scene) {
  await server.halt('SIGQUIT')
  await pause(between(0, 800))
  await server.resume()
}

async function restart({ server }: Scene) {
  await server.halt('SIGINT')
  await server.resume()
}

/** Milliseconds until a write or read of somebody goes well again. */
async function untilAcknowledged({ quick }: Load, since: number): Promise<number> {
  const start = performance.now()
  while (!quick.slice(since).some(({ status }) => status === 200)) {
    if (performance.now() - start > RECOVERY_MS) throw new Error('nothing is acknowledged any more')
    await pause(20)
  }
  return performance.now() - start
}
