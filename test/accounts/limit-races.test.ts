import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { limits } from '../../src/config/limits.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import type { Connection } from '../../src/database/connect.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { createDatabase, dropDatabase, freshDatabase, needsPostgres, rounds } from '../support/database.ts'
import { freshNetwork, letPass, limited } from '../support/limits.ts'
import { type Answer, type Service, address, startService } from '../support/service.ts'

const ROUNDS = rounds(50)
const WRONG = 'wrong horse battery'

/** Two connections to one database, as two replicas have them; the embedded one is shared. */
async function twoConnections(t: Test): Promise<Connection[]> {
  const server = process.env.TEST_DATABASE_URL
  if (server === undefined) {
    const connection = await freshDatabase()
    return [connection, { ...connection, close: () => Promise.resolve() }]
  }
  const url = await createDatabase(server)
  t.teardown(() => dropDatabase(server, url))
  return [1, 2].map(() => connectPostgres({ url, migrationUrl: url, poolSize: 10 }))
}

void test('fault 22: limits hold over two replicas, with 100 requests at once', needsPostgres, async (t) => {
  const replicas: Service[] = []
  for (const connection of await twoConnections(t)) {
    const replica = await startService(t, limited, { connection })
    cheapHashing(replica)
    replicas.push(replica)
  }
  const [one] = replicas as [Service]
  const atOnce = (attempt: (replica: Service, number: number) => Promise<Answer>, requests = 100) =>
    Promise.all(Array.from({ length: requests }, (_, number) => attempt(replicas[number % 2]!, number)))
  /** Exactly so many pass; a request that a busy machine answered 503 may have been counted or not. */
  const exactly = (answers: readonly Answer[], status: number, expected: number) => {
    const withStatus = (one: number) => answers.filter((answer) => answer.status === one).length
    const [passed, late, refused] = [withStatus(status), withStatus(503), withStatus(429)]
    t.equal(passed + late + refused, answers.length, `nothing but ${status} and refusals`)
    t.ok(late < answers.length / 2, `${late} late`)
    t.ok(
      passed <= expected && passed + late >= expected,
      `${passed} passed, ${expected} are to, ${late} late`,
    )
  }

  await t.test('many requests at once for a recovery link to one address queue one mail', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const { id, email } = await one.person()
      const answers = await atOnce(
        ({ call }) => call('POST', `/password-recovery/${email}`, { from: freshNetwork() }),
        round === 0 ? 100 : 25,
      )
      exactly(answers, 200, answers.length)
      t.equal((await one.rows(sql`select from emails where user_id = ${id}`)).length, 1)
    }
  })

  await t.test('of 100 recovery requests at once from a network, exactly its limit passes', async () => {
    const from = freshNetwork()
    const answers = await atOnce(({ call }) => call('POST', `/password-recovery/${address()}`, { from }))
    exactly(answers, 200, limits.mail_network.burst)
  })

  await t.test('one try below the limit, exactly one of many wrong passwords at once is tried', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [{ email }, from] = [await one.person(), freshNetwork()]
      for (let before = 1; before < limits.login.burst; before++) await one.signIn(email, WRONG, from)
      const requests = round === 0 ? 100 : 20
      exactly(await atOnce(({ signIn }) => signIn(email, WRONG, from), requests), 400, 1)
      // Exactly one again after the pause of the account and of the network.
      await letPass(one, Math.max(limits.login.pause, limits.login_network.pause))
      exactly(await atOnce(({ signIn }) => signIn(email, WRONG, from), requests), 400, 1)
    }
  })

  await t.test('of wrong passwords at once from everywhere, exactly the limit is tried', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = round % 2 ? address() : (await one.person()).email
      const answers = await atOnce(({ signIn }) => signIn(email, WRONG, freshNetwork()), round < 2 ? 100 : 25)
      exactly(answers, 400, limits.login_by_strangers.burst)
    }
  })

  await t.test(
    'of right and wrong passwords at once, every wrong one is counted and no right one',
    async (t) => {
      let right = 0
      for (let round = 0; round < ROUNDS; round++) {
        const [{ email, password }, from] = [await one.person(), freshNetwork()]
        await one.signIn(email, password, from)
        await one.rows(sql`delete from rate_limits`)
        const answers = await atOnce(({ signIn }, number) =>
          signIn(email, number % 4 ? password : WRONG, from),
        )
        const wrong = answers.filter(({ status }) => status === 400).length
        t.ok(wrong <= limits.login.burst, `${wrong} wrong ones`)
        right += answers.filter(({ status }) => status === 200).length
        const late = answers.filter(({ status }) => status === 503).length
        const counted = await failures()
        t.ok(counted >= wrong && counted <= wrong + late, `${counted} counted of ${wrong}, ${late} late`)
      }
      // In a single round the wrong ones may all come first, and lock this network out of the account.
      t.ok(right > ROUNDS, `${right} right ones were let in`)
    },
  )

  for (const known of [true, false])
    await t.test(
      `fault 24: 30 right sign-ins at once from ${known ? 'one network' : 'everywhere'} are 200, and none counts as a failure`,
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const [{ email, password }, from] = [await one.person(), freshNetwork()]
          if (known) await one.signIn(email, password, from)
          await one.rows(sql`delete from rate_limits`)
          const answers = await atOnce(
            ({ signIn }) => signIn(email, password, known ? from : freshNetwork()),
            30,
          )
          exactly(answers, 200, 30)
          t.equal((await one.rows(sql`select from rate_limits`)).length, 1, 'but as sign-ins of the account')
        }
      },
    )

  /** Counted failures of the only account; leaves out the row of its successes, which ends sooner than one failure. */
  async function failures() {
    const successes = 100 * limits.sign_ins.every
    const [row] = await one.rows<{ tries: number }>(
      sql`select ceil(extract(epoch from max(forgotten_at) - now()) / ${limits.login.every}::integer)::integer as tries
        from rate_limits where forgotten_at > now() + make_interval(secs => ${successes})`,
    )
    return row?.tries ?? 0
  }
})
