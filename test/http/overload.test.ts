import postgres from 'postgres'
import { test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { isAnswer } from '../support/answers.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { startService } from '../support/service.ts'

/** Of two connections, one takes short statements: up to 8 are sent on it, and 100 more wait. */
const QUEUE = 100
const SENT = 8
const MANY = 300
const ANSWER_MS = 2_000

void test('under overload, requests are 503 within 2 s; a burst is served', needsPostgres, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const other = postgres(url, { max: 1, onnotice: () => undefined })
  // The timeout of production, as it bounds the time of an answer.
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 2 })
  const service = await startService(t, {}, { connection })
  t.teardown(async () => {
    await service.close()
    await other.end({ timeout: 1 })
    await dropDatabase(server, url)
  })
  const read = () => service.call('GET', '/users/me', { as: service.admin })
  t.equal((await read()).status, 200)

  await other.begin(async (holding) => {
    await holding`lock table sessions in access exclusive mode`
    const answered: number[] = []
    const asked = Array.from({ length: MANY }, async (_, number) => {
      const begun = performance.now()
      const answer = await read()
      answered.push(number)
      return { answer, ms: performance.now() - begun }
    })
    const health = await service.app.inject('/health/live')
    t.equal(health.statusCode, 200, 'it lives')
    t.equal((await service.call('GET', '/utils/health-check/')).status, 200, 'and says so to whoever asks')
    t.ok(connection.load!().waiting > 0, 'operators can see that requests wait')
    const answers = await Promise.all(asked)
    for (const { answer } of answers) {
      isAnswer(t, answer, 503, 'Service Unavailable')
      t.equal(answer.headers['retry-after'], '1', 'they are told when to come back')
    }
    const slowest = Math.max(...answers.map(({ ms }) => ms))
    t.ok(slowest < ANSWER_MS, `the slowest after ${Math.round(slowest)} ms`)
    const first = answered.slice(0, MANY - QUEUE - SENT)
    t.ok(Math.min(...first) >= QUEUE, 'those for whom there is no place to wait need not wait')
    t.ok(connection.load!().refused >= MANY - QUEUE - SENT, 'and operators can see how many')
  })
  t.equal((await read()).status, 200)
  t.ok((await Promise.all(Array.from({ length: 100 }, read))).every(({ status }) => status === 200))
})
