import postgres from 'postgres'
import { test } from 'tap'
import { connectPostgres } from '../../src/db/postgres.ts'
import { isAnswer } from '../support/answers.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { startService } from '../support/service.ts'

const MANY = 400
const TIMEOUT_MS = 1_000
/** Sooner than the wait for a connection ends. */
const AT_ONCE_MS = TIMEOUT_MS / 2 - 50

void test(
  'what can not be served soon is refused at once, and served when it can',
  needsPostgres,
  async (t) => {
    const server = process.env.TEST_DATABASE_URL!
    const url = await createDatabase(server)
    const other = postgres(url, { max: 1, onnotice: () => undefined })
    const connection = connectPostgres({ url, migrationUrl: url, poolSize: 2, timeoutMs: TIMEOUT_MS })
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
      const begun = performance.now()
      const asked = Array.from({ length: MANY }, async () => {
        const answer = await read()
        return { answer, ms: performance.now() - begun }
      })
      const health = await service.app.inject('/health/live')
      t.equal(health.statusCode, 200, 'it lives')
      const answers = await Promise.all(asked)
      for (const { answer } of answers) isAnswer(t, answer, 503, 'Service Unavailable')
      const atOnce = answers.filter(({ ms }) => ms < AT_ONCE_MS)
      t.ok(atOnce.length >= MANY / 2, `${atOnce.length} of ${MANY} at once`)
      t.equal(atOnce[0]?.answer.headers['retry-after'], '1', 'they are told when to come back')
    })
    t.equal((await read()).status, 200)
    t.ok((await Promise.all(Array.from({ length: 100 }, read))).every(({ status }) => status === 200))
  },
)
