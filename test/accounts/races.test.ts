import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { needsPostgres, rounds } from '../support/database.ts'
import { type Answer, type Person, address, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const ROUNDS = rounds(50)
const LAST = 'The last active superuser cannot be removed'
const GONE = 'Could not validate credentials'
const password = 'correct horse battery'

/** The address in another case for each number. */
const spelled = (email: string, number: number) =>
  [...email].map((letter, at) => ((number >> (at % 5)) & 1 ? letter.toUpperCase() : letter)).join('')

const statuses = (answers: readonly Answer[]) => answers.map(({ status }) => status).toSorted((a, b) => a - b)

void test('races', needsPostgres, async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, admin, rows } = service
  const count = async (query: ReturnType<typeof sql>) => (await rows(query)).length

  await t.test(
    'fault 8: 20 sign-ups at once with one address in different case create one user',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const email = address()
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, number) =>
            call('POST', '/users/signup', { body: { email: spelled(email, number), password } }),
          ),
        )
        t.strictSame(statuses(answers), [200, ...Array<number>(19).fill(400)])
        for (const answer of answers.filter(({ status }) => status !== 200))
          isAnswer(t, answer, 400, 'The user with this email already exists in the system')
        t.equal(await count(sql`select from users where lower(email) = ${email}`), 1)
      }
    },
  )

  await t.test('of sign-ups, creations and changes to one address at once, one succeeds', async (t) => {
    const [ada, bob] = [await service.person(), await service.person()]
    for (let round = 0; round < ROUNDS; round++) {
      const email = address()
      const account = { email: email.toUpperCase(), password, full_name: null }
      const answers = await Promise.all([
        call('POST', '/users/signup', { body: { email, password } }),
        call('POST', '/private/users/', { body: account }),
        call('POST', '/users/', { as: admin, body: account }),
        call('PATCH', '/users/me', { as: ada, body: { email } }),
        call('PATCH', `/users/${bob.id}`, { as: admin, body: { email } }),
      ])
      t.equal(answers.filter(({ status }) => status === 200).length, 1)
      for (const { status } of answers.slice(0, 3)) t.ok([200, 400].includes(status), `made: ${status}`)
      for (const { status } of answers.slice(3)) t.ok([200, 409].includes(status), `changed: ${status}`)
      t.equal(await count(sql`select from users where lower(email) = ${email}`), 1)
    }
  })

  type Removal = (of: Person, by: Person) => Promise<Answer>
  const deletes: Removal = (of, by) => call('DELETE', `/users/${of.id}`, { as: by })
  const demotes: Removal = (of, by) =>
    call('PATCH', `/users/${of.id}`, { as: by, body: { is_superuser: false } })
  const deactivates: Removal = (of, by) =>
    call('PATCH', `/users/${of.id}`, { as: by, body: { is_active: false } })
  const stepsDown: Removal = (_of, by) => demotes(by, by)
  const pairs: [string, Removal, Removal][] = [
    ['delete each other', deletes, deletes],
    ['demote each other', demotes, demotes],
    ['deactivate each other', deactivates, deactivates],
    ['delete and demote each other', deletes, demotes],
    ['delete and deactivate each other', deletes, deactivates],
    ['demote and deactivate each other', demotes, deactivates],
    ['step down', stepsDown, stepsDown],
  ]
  for (const [what, first, second] of pairs) {
    await t.test(
      `fault 12: of two superusers who ${what} at once, one succeeds and one active superuser is left`,
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const [one, other] = [await service.person(), await service.person()]
          await rows(sql`update users set is_superuser = (id in (${one.id}, ${other.id}))`)
          const answers = await Promise.all([first(other, one), second(one, other)])
          t.equal(await count(sql`select from users where is_superuser and is_active`), 1)
          t.equal(answers.filter(({ status }) => status === 200).length, 1)
          const refused = answers.find(({ status }) => status !== 200)
          // It would remove the last superuser, or its own session was ended before.
          if (refused?.status === 401) isAnswer(t, refused, 401, GONE)
          else if (refused) isAnswer(t, refused, 403, LAST)
        }
        await rows(sql`update users set is_superuser = (id = ${admin.id})`)
      },
    )
  }

  /** What a user may be doing while their account is deleted, and which answers are right. */
  const busy: Record<string, { does(person: Person): Promise<Answer>; answers: readonly number[] }> = {
    'makes a paper': {
      does: (person) => call('POST', '/papers/', { as: person, body: { title: 'Late' } }),
      answers: [200, 401],
    },
    'changes the account': {
      does: (person) => call('PATCH', '/users/me', { as: person, body: { full_name: 'Late' } }),
      answers: [200, 401],
    },
    'changes the password': {
      does: (person) =>
        call('PATCH', '/users/me/password', {
          as: person,
          body: { current_password: password, new_password: `${password}!` },
        }),
      // 400 for a second change, as the current password is no longer right.
      answers: [200, 400, 401],
    },
    'is changed by an administrator': {
      does: ({ id }) => call('PATCH', `/users/${id}`, { as: admin, body: { full_name: 'Late' } }),
      answers: [200, 404],
    },
    'signs in': { does: ({ email }) => service.signIn(email, password), answers: [200, 400] },
    'asks for a recovery link': {
      does: ({ email }) => call('POST', `/password-recovery/${email}`),
      answers: [200],
    },
    'deletes it as well': {
      does: (person) => call('DELETE', '/users/me', { as: person }),
      answers: [200, 401],
    },
  }
  for (const [what, { does, answers: sensible }] of Object.entries(busy)) {
    await t.test(`a user who ${what} while being deleted gets an answer, and leaves no rows`, async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const person = await service.person()
        const removes =
          round % 2
            ? () => call('DELETE', '/users/me', { as: person })
            : () => call('DELETE', `/users/${person.id}`, { as: admin })
        const [before, removed, ...after] = await Promise.all([
          does(person),
          removes(),
          does(person),
          does(person),
        ])
        if (what !== 'deletes it as well') t.equal(removed.status, 200)
        for (const { status, text } of [before, ...after])
          t.ok(sensible.includes(status), `round ${round}: ${status} ${text}`)
        const { id } = person
        t.equal(await count(sql`select from users where id = ${id} and deleted_at is null`), 0)
        // Rows are deleted after the answer (database/upkeep/removal.ts).
        await until(async () => (await count(sql`select from users where id = ${id}`)) === 0)
        t.equal(await count(sql`select from papers where owner_id = ${id}`), 0)
        t.equal(await count(sql`select from sessions where user_id = ${id}`), 0)
        t.equal(await count(sql`select from one_time_tokens where user_id = ${id}`), 0)
      }
    })
  }

  const blocked = sql`select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  const held = ROUNDS
  await t.test('a change and a deletion that both wait for one user do not deadlock', async (t) => {
    for (let round = 0; round < held; round++) {
      const { id } = await service.person()
      const calls: Promise<Answer>[] = []
      await service.app.db.transaction(async (other) => {
        await other.execute(sql`update users set full_name = 'held' where id = ${id}`)
        // Not at the same moment: both would be sent over one connection, one after the other.
        calls.push(call('PATCH', `/users/${id}`, { as: admin, body: { full_name: 'Late' } }))
        await until(async () => (await count(blocked)) >= 1)
        calls.push(call('DELETE', `/users/${id}`, { as: admin }))
        await until(async () => (await count(blocked)) >= 2)
      })
      const [changed, deleted] = await Promise.all(calls)
      t.ok([200, 404].includes(changed!.status), `round ${round}: ${changed!.status}`)
      t.equal(deleted!.status, 200)
    }
  })

  await t.test('of three deletions of one user at once, one is 200 and the others are 404', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const { id } = await service.person()
      const answers = await Promise.all([1, 2, 3].map(() => call('DELETE', `/users/${id}`, { as: admin })))
      t.strictSame(statuses(answers), [200, 404, 404])
    }
  })
})
