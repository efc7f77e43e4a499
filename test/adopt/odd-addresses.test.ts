import { test } from 'tap'
import { needsPostgres } from '../support/database.ts'
import { type ExpectedUser, expected, serviceOn, templateDatabase } from './support/template.ts'

const isOdd = ({ what }: ExpectedUser) => /address|local part/.test(what)

void test('whoever has an address that a new user could not have', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt()
  const { call, signIn, admin } = await serviceOn(t, database)

  for (const { what, id, email, password } of expected.users.filter((user) => isOdd(user)))
    await t.test(what, async (t) => {
      await t.test('signs in with it, and it is as it was', async (t) => {
        const { status, body } = await signIn(email, password)
        t.equal(status, 200)
        const headers = { authorization: `Bearer ${body.access_token}` }
        t.match((await call('GET', '/users/me', { headers })).body, { id, email })
      })

      await t.test('is edited by a superuser who leaves the address alone', async (t) => {
        const body = { full_name: 'Somebody' }
        t.equal((await call('PATCH', `/users/${id}`, { as: admin, body })).status, 200)
        const { body: user } = await call('GET', `/users/${id}`, { as: admin })
        t.match(user, { email, full_name: 'Somebody' })
      })

      await t.test('is edited by a superuser whose form sends the address back', async (t) => {
        const body = { email, full_name: 'Somebody else' }
        const answer = await call('PATCH', `/users/${id}`, { as: admin, body })
        t.equal(answer.status, 200, answer.text)
        t.match(answer.body, { id, full_name: 'Somebody else' })
      })

      await t.test('is mailed a recovery link', async (t) => {
        t.equal((await call('POST', `/password-recovery/${encodeURIComponent(email)}`)).status, 200)
        const mails = await database.rows(
          `select from emails where user_id = '${id}' and message = 'recovery'`,
        )
        t.equal(mails.length, 1)
      })
    })
})
