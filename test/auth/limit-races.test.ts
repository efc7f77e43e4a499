import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { limits } from '../../src/limits.ts'
import { connectPostgres } from '../../src/db/postgres.ts'
import type { Connection } from '../../src/db/connect.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { createDatabase, dropDatabase, freshDatabase, needsPostgres } from '../support/database.ts'
import { freshNetwork, letPass, limited } from '../support/limits.ts'
import { type Answer, type Service, address, startService } from '../support/service.ts'

const ROUNDS = 50
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

void test('fault 22: limits of two replicas, with a hundred requests at once', needsPostgres, async (t) => {
  const replicas: Service[] = []
  for (const connection of await twoConnections(t)) {
    const replica = await startService(t, limited, { connection })
    cheapHashing(replica)
    replicas.push(replica)
  }
  const [one] = replicas as [Service]
  const atOnce = (attempt: (replica: Service, number: number) => Promise<Answer>, requests = 100) =>
    Promise.all(Array.from({ length: requests }, (_, number) => attempt(replicas[number % 2]!, number)))
  const passed = (answers: readonly Answer[], status: number) => {
    const others = answers.filter((answer) => answer.status !== status)
    t.ok(
      others.every((answer) => answer.status === 429),
      'the others get 429',
    )
    return answers.length - others.length
  }

  await t.test('mails to one address: exactly the limit passes', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = address()
      const answers = await atOnce(
        ({ call }) => call('POST', `/password-recovery/${email}`, { from: freshNetwork() }),
        round === 0 ? 100 : 25,
      )
      t.equal(passed(answers, 200), limits.mail.burst)
    }
  })

  await t.test('guesses from one network, at the limit: exactly one passes', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const [{ email }, from] = [await one.person(), freshNetwork()]
      for (let before = 1; before < limits.login.burst; before++) await one.signIn(email, WRONG, from)
      const requests = round === 0 ? 100 : 20
      t.equal(passed(await atOnce(({ signIn }) => signIn(email, WRONG, from), requests), 400), 1)
      // And again exactly one when the wait is over, of the account or of the network.
      await letPass(one, Math.max(limits.login.pause, limits.login_network.pause))
      t.equal(passed(await atOnce(({ signIn }) => signIn(email, WRONG, from), requests), 400), 1)
    }
  })

  await t.test('guesses from everywhere: exactly the limit passes, known account or not', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const email = round % 2 ? address() : (await one.person()).email
      const answers = await atOnce(({ signIn }) => signIn(email, WRONG, freshNetwork()), round < 2 ? 100 : 25)
      t.equal(passed(answers, 400), limits.login_by_strangers.burst)
    }
  })

  await t.test(
    'right and wrong passwords at once: every wrong one stays counted, no right one',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const [{ email, password }, from] = [await one.person(), freshNetwork()]
        await one.signIn(email, password, from)
        await one.rows(sql`delete from rate_limits`)
        const answers = await atOnce(({ signIn }, number) =>
          signIn(email, number % 4 ? password : WRONG, from),
        )
        const wrong = answers.filter(({ status }) => status === 400).length
        t.ok(wrong <= limits.login.burst)
        t.ok(answers.some(({ status }) => status === 200))
        t.equal(await counted(), wrong)
      }
    },
  )

  for (const known of [true, false])
    await t.test(
      `fault 24: 30 right sign-ins at once from ${known ? 'one network' : 'everywhere'} are all let in, and free`,
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const [{ email, password }, from] = [await one.person(), freshNetwork()]
          if (known) await one.signIn(email, password, from)
          await one.rows(sql`delete from rate_limits`)
          const answers = await atOnce(
            ({ signIn }) => signIn(email, password, known ? from : freshNetwork()),
            30,
          )
          t.equal(passed(answers, 200), 30)
          t.strictSame(await one.rows(sql`select * from rate_limits`), [])
        }
      },
    )

  /** Tries at an account from a network that are counted, of the only one that there is. */
  async function counted() {
    const [row] = await one.rows<{ tries: number }>(
      sql`select ceil(extract(epoch from max(forgotten_at) - now()) / ${limits.login.every}::integer)::integer as tries
        from rate_limits where forgotten_at > now()`,
    )
    return row?.tries ?? 0
  }
})
