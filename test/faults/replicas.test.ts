import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { startNginx } from '../support/nginx.ts'
import { type Running } from '../support/process.ts'
import { ROUNDS, type Scene, between, setScene } from './support/scene.ts'

const PEOPLE = 6
/** A life has three requests under way at most; the superuser's writers as many each. */
const IN_FLIGHT = 3 * (PEOPLE + 2)
const ROLLS = Math.max(2, Math.round(ROUNDS / 5))
const STOP_MS = 10_000
/** So long a statement waits for a connection before it is refused. */
const OVERLOADED_AFTER_MS = 400

void test('three replicas behind nginx', async (t) => {
  await t.test('fault 33: all are rolled under keep-alive load, and no request is dropped', async (t) => {
    const { scene, replicas, nginx } = await setReplicas(t)
    const load = await scene.live(nginx.url, PEOPLE)
    const stops: number[] = []
    for (let roll = 0; roll < ROLLS; roll++)
      for (const index of replicas.keys()) {
        await pause(between(200, 800))
        const replica = replicas[index]!
        const start = performance.now()
        replica.child.kill('SIGTERM')
        t.equal(await replica.exited, 0)
        stops.push(performance.now() - start)
        replicas[index] = await again(scene, replica)
      }
    await load.stop()
    const failed = load.replies.filter(({ status }) => status === undefined || status >= 500)
    // A busy machine refuses one that waited in vain; a stop would refuse at once, or not answer.
    const dropped = failed.filter(({ status, ms }) => status !== 503 || ms < OVERLOADED_AFTER_MS)
    t.same(dropped, [], 'no request is dropped')
    if (dropped.length > 0) t.comment(nginx.errors())
    t.ok(Math.max(...stops) < STOP_MS, `each stopped within ${STOP_MS} ms`)
    await scene.audit(ROLLS, 'fault 33, three replicas rolled')
    t.comment(
      `figure: fault 33: ${stops.length} stops, the longest ${Math.round(Math.max(...stops))} ms; ${load.replies.length} requests, ${dropped.length} dropped, ${failed.length - dropped.length} refused under overload`,
    )
    const [mails] = await scene.sql<
      { sent: number }[]
    >`select count(*)::int as sent from emails where sent_at is not null`
    t.ok(scene.mailServer.mails.length >= mails!.sent)
    t.equal(
      new Set(scene.mailServer.mails.map(({ messageId }) => messageId)).size,
      scene.mailServer.mails.length,
      'each mail came once',
    )
  })

  await t.test('fault 32: one is killed, and no request is lost but those that it had', async (t) => {
    const { scene, replicas, nginx } = await setReplicas(t)
    const load = await scene.live(nginx.url, PEOPLE)
    const lost: number[] = []
    for (let kill = 0; kill < ROLLS; kill++) {
      await pause(between(500, 1_000))
      const index = kill % replicas.length
      const replica = replicas[index]!
      const since = load.replies.length
      replica.child.kill('SIGKILL')
      await replica.exited
      await pause(500)
      lost.push(load.replies.slice(since).filter(({ status }) => status !== 200 && status !== 201).length)
      replicas[index] = await again(scene, replica)
    }
    await load.stop()
    t.ok(Math.max(...lost) <= IN_FLIGHT, `lost with each that was killed: ${lost.join(', ')}`)
    await scene.audit(ROLLS, 'fault 32, one of three replicas killed')
    const failed = load.replies.filter(({ status }) => status === undefined || status >= 500).length
    t.comment(
      `figure: fault 32: ${load.replies.length} requests by way of nginx, ${failed} lost, those that the killed had: ${lost.join(' + ')}`,
    )
    t.equal(
      failed,
      lost.reduce((sum, count) => sum + count, 0),
      'and none at any other time',
    )
  })
})

async function setReplicas(t: Parameters<typeof setScene>[0]) {
  const scene = await setScene(t, { env: { TRUST_PROXY: '127.0.0.1' } })
  const replicas = await Promise.all([1, 2, 3].map(() => scene.startService()))
  const nginx = await startNginx(
    t,
    replicas.map(({ url }) => url),
  )
  return { scene, replicas, nginx }
}

/** A new one in the place of one that ended. */
const again = (scene: Scene, { url }: Running) => scene.startService({ PORT: new URL(url).port })
