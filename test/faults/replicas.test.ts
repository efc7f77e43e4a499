import { setTimeout as pause } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { limits } from '../../src/config/limits.ts'
import { type Failure, startNginx } from '../support/nginx.ts'
import { TIMEOUT_MS } from '../support/database.ts'
import { type Running } from '../support/process.ts'
import { ask } from './support/client.ts'
import { nextBuild } from './support/next-build.ts'
import { ROUNDS, type Scene, between, setScene } from './support/scene.ts'

const PEOPLE = 6
const ROLLS = Math.max(2, Math.round(ROUNDS / 5))
const STOP_MS = 10_000
const AT_ONCE = 100

void test('fault 33: three replicas behind nginx are rolled under keep-alive load, and no request is dropped', async (t) => {
  const { scene, replicas, nginx } = await setReplicas(t)
  const next = nextBuild(t)
  const load = await scene.live(nginx.url, PEOPLE)
  const stops: number[] = []
  for (let roll = 0; roll < ROLLS; roll++)
    for (const [index, replica] of replicas.entries()) {
      await pause(between(200, 800))
      const start = performance.now()
      replica.child.kill('SIGTERM')
      t.equal(await replica.exited, 0)
      stops.push(performance.now() - start)
      // At last to another build, whose migration the old replicas live with until it is their turn.
      replicas[index] = await again(scene, replica, roll === ROLLS - 1 ? next : undefined)
    }
  await pause(500)
  await load.stop()

  t.ok(Math.max(...stops) < STOP_MS, `each stopped within ${STOP_MS} ms`)
  for (const { url } of replicas)
    t.match(
      await ask(`${url}/health/live`),
      { status: 200, body: { revision: 'next' } },
      'it is the new build',
    )
  await scene.sql`select of_the_next_build from items`
  const dropped = load.replies.filter(({ status }) => status === undefined || status >= 500)
  t.same(dropped, [], 'no request is dropped')
  const failures = nginx.failures()
  t.same(failures, [], 'nor answered by nginx alone')
  if (failures.length > 0) t.comment(nginx.errors())
  await scene.audit(ROLLS, 'fault 33, three replicas rolled')
  const ids = scene.mailServer.mails.map(({ messageId }) => messageId)
  t.equal(new Set(ids).size, ids.length, 'each mail came once')
  t.comment(
    `figure: fault 33: ${stops.length} stops, the last three for a new build, the longest ${Math.round(Math.max(...stops))} ms; ${load.replies.length} requests, ${dropped.length} dropped`,
  )
})

void test('fault 32: one of three replicas is killed, and no request is lost but those that it had', async (t) => {
  const { scene, replicas, nginx } = await setReplicas(t)
  // What is idempotent (RFC 9110, 9.2.2) nginx asks of another, and the first may have done it.
  const load = await scene.live(nginx.url, PEOPLE, ['DELETE 404'])
  const kills: { readonly host: string; readonly begun: number; readonly ended: number }[] = []
  for (let kill = 0; kill < ROLLS; kill++) {
    await pause(between(500, 1_000))
    const index = kill % replicas.length
    const replica = replicas[index]!
    const begun = Date.now()
    replica.child.kill('SIGKILL')
    await replica.exited
    kills.push({ host: new URL(replica.url).host, begun, ended: Date.now() })
    await pause(500)
    replicas[index] = await again(scene, replica)
  }
  await load.stop()
  // Not after each: nginx may tell of what failed a while later.
  const failures = nginx.failures()
  const killed = ({ upstream, since, until }: Failure) =>
    kills.findIndex(({ host, begun, ended }) => upstream === host && since <= ended && until >= begun)
  t.same(
    failures.filter((failure) => killed(failure) < 0),
    [],
    'what failed was under way on the one that was killed, and nothing at any other time',
  )
  const lost = kills.map((_, kill) => failures.filter((failure) => killed(failure) === kill).length)
  await scene.audit(ROLLS, 'fault 32, one of three replicas killed')
  t.comment(
    `figure: fault 32: ${load.replies.length} requests by way of nginx, ${failures.length} lost, those that the killed had: ${lost.join(' + ')}`,
  )
})

void test('fault 22: limits of three replicas behind nginx, with a hundred requests at once', async (t) => {
  const { scene, nginx } = await setReplicas(t, { RATE_LIMIT_ENABLED: 'true' })
  const atOnce = async (path: string, form?: Record<string, string>) => {
    const send = () =>
      ask(`${nginx.url}/api/v1${path}`, { method: 'POST', ...(form !== undefined && { form }) })
    const replies = await Promise.all(Array.from({ length: AT_ONCE }, send))
    return (status: number) => replies.filter((reply) => reply.status === status).length
  }
  const wrong = { username: 'admin@example.com', password: 'wrong horse battery' }
  const [guesses, mails] = [
    await atOnce('/login/access-token', wrong),
    await atOnce('/password-recovery/admin@example.com'),
  ]
  for (const [answers, passes, limit] of [
    [guesses, 400, limits.login.burst],
    [mails, 200, limits.mail_network.burst],
  ] as const) {
    t.equal(answers(passes), limit, 'exactly the limit passes')
    t.equal(answers(429), AT_ONCE - limit, 'the others are told to wait')
  }
  const sent = await scene.sql`select from emails where message = 'recovery'`
  t.equal(sent.length, 1, 'and one mail is due')
})

async function setReplicas(t: Test, env: Record<string, string> = {}) {
  // Replicas start while people hash: a database that is slow for it is not what is looked at here.
  const DATABASE_TIMEOUT_MS = String(TIMEOUT_MS)
  const scene = await setScene(t, { env: { TRUST_PROXY: '127.0.0.1', DATABASE_TIMEOUT_MS, ...env } })
  const replicas = await Promise.all([1, 2, 3].map(() => scene.startService()))
  const nginx = await startNginx(
    t,
    replicas.map(({ url }) => url),
  )
  return { scene, replicas, nginx }
}

/** A new one in the place of one that ended. */
const again = (scene: Scene, { url }: Running, build?: string) =>
  scene.startService({ PORT: new URL(url).port }, build)
