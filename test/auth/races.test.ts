import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { onPostgres } from '../support/database.ts'
import { type Person, address, startService } from '../support/service.ts'

/** Races need a real PostgreSQL: the embedded database has one connection, and can only show that nothing else breaks. */
const ROUNDS = onPostgres ? 50 : 2

void test('races', async (t) => {
  const service = await startService(t)
  const { call, admin } = service
  const count = async (query: ReturnType<typeof sql>) =>
    Number((await service.rows<{ count: unknown }>(query))[0]!.count)

  /** A superuser without the price of hashing: one hash serves all. */
  const superuser = async (): Promise<Person> => {
    const person = await service.person()
    await service.rows(sql`update users set is_superuser = true where id = ${person.id}`)
    return person
  }

  const again = async (person: Person) => ({
    ...person,
    token: (await service.signIn(person.email, person.password)).body.access_token as string,
  })

  await t.test('one address, signed up many times at once in different case, is one user', async (t) => {
    for (let round = 0; round < Math.min(ROUNDS, 50); round++) {
      const email = address()
      const answers = await Promise.all(
        Array.from({ length: onPostgres ? 6 : 3 }, (_, index) =>
          call('POST', '/users/signup', {
            body: { email: index % 2 ? email.toUpperCase() : email, password: 'correct horse battery' },
          }),
        ),
      )
      const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
      t.same(statuses, [200, ...statuses.slice(1).map(() => 400)])
    }
  })

  await t.test('two superusers who remove each other at once leave one', async (t) => {
    await service.rows(sql`update users set is_superuser = false where id = ${admin.id}`)
    const [one, other] = [await superuser(), await superuser()]
    const removals = [{ is_superuser: false }, { is_active: false }]
    for (let round = 0; round < ROUNDS; round++) {
      const body = removals[round % removals.length]
      const answers = await Promise.all([
        call('PATCH', `/users/${other.id}`, { as: one, body }),
        call('PATCH', `/users/${one.id}`, { as: other, body }),
      ])
      const left = await count(sql`select count(*) from users where is_superuser and is_active`)
      t.equal(left, 1, `round ${round}: ${answers.map(({ status }) => status).join()}`)
      // The loser is told so, or was no superuser any more when it asked.
      t.ok(answers.every(({ status }) => [200, 401, 403].includes(status)))
      // As before, for the next round; sessions are ended by a version, so going back revives them.
      await service.rows(
        sql`update users set is_superuser = true, is_active = true, credentials_version = 0 where id in (${one.id}, ${other.id})`,
      )
      for (const person of [one, other]) {
        const [session] = await service.rows(sql`select from sessions where user_id = ${person.id}`)
        if (!session) Object.assign(person, await again(person))
      }
    }
    await service.rows(sql`update users set is_superuser = true where id = ${admin.id}`)
  })

  await t.test(
    'a sign-in with the old password during its change leaves no session that lives',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const person = await service.person()
        const [signIn] = await Promise.all([
          service.signIn(person.email, person.password),
          call('PATCH', '/users/me/password', {
            as: person,
            body: { current_password: person.password, new_password: 'another horse battery' },
          }),
        ])
        if (signIn.status !== 200) continue
        const thief = { ...person, token: signIn.body.access_token as string }
        t.equal((await call('GET', '/users/me', { as: thief })).status, 401, `round ${round}`)
      }
    },
  )

  await t.test('two links of one user used at once: one counts, and nothing breaks', async (t) => {
    const person = await service.person()
    for (let round = 0; round < ROUNDS; round++) {
      const links = await Promise.all(
        [1, 2].map(() => call('POST', `/password-recovery-html-content/${person.email}`, { as: admin })),
      )
      const answers = await Promise.all(
        links.map(({ text }) =>
          call('POST', '/reset-password/', {
            body: { token: /token=([^"&]+)"/.exec(text)![1], new_password: 'another horse battery' },
          }),
        ),
      )
      t.same(
        answers.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 400],
        `round ${round}`,
      )
    }
  })

  await t.test(
    'an item that is created while its owner is deleted is gone, or was never there',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const person = await service.person()
        const [created, deleted] = await Promise.all([
          call('POST', '/items/', { as: person, body: { title: 'Late' } }),
          call('DELETE', '/users/me', { as: person }),
        ])
        t.ok([200, 401].includes(created.status), `round ${round}: ${created.status}`)
        t.equal(deleted.status, 200)
        t.equal(await count(sql`select count(*) from items where owner_id = ${person.id}`), 0)
      }
    },
  )
})
