import { test } from 'tap'
import { respellingsOf } from '../../src/adopt/look/spellings.ts'
import { readEmail } from '../../src/text/email-address.ts'
import { needsPostgres } from '../support/database.ts'
import { type ExpectedUser, expected, serviceOn, templateDatabase } from './support/template.ts'

/** bcrypt at cost 4 of `correct horse battery`. */
const HASH = '$2b$04$tiRGKc66wxpQTMpQNuFKeuRQWbLXLRCQVtkvnWGr/kcpkIelX9jbO'

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

void test(
  'whoever has an address that is no longer found as it was written signs in with it all the same',
  needsPostgres,
  async (t) => {
    const password = 'correct horse battery'
    const decomposed = 'Jose\u0301@example.com'
    const database = await templateDatabase(
      t,
      `insert into "user" values ('${decomposed}', true, false, null, '${HASH}', gen_random_uuid(), now()),
        ('Info@EX\u00C4MPLE.org', true, false, null, '${HASH}', gen_random_uuid(), now())`,
    )
    const text = (await database.adopt()).join('\n')
    t.match(
      text,
      /^new address: Jose\u0301@example\.com \(.*\) signs in as Jos\u00E9@example\.com from then on$/m,
    )
    const { signIn } = await serviceOn(t, database)
    for (const email of [decomposed, 'jos\u00E9@example.com', 'info@ex\u00E4mple.org'])
      t.equal((await signIn(email, password)).status, 200, email)
  },
)

void test('what a locale does not fold is respelled, and what it folds is left alone', (t) => {
  const row = (email: string, lowered: string) => ({ id: email, email, lowered, stored: readEmail(email) })
  const capital = '\u00D6mer@example.com'
  t.strictSame(respellingsOf([row(capital, capital.toLowerCase())]), [])
  t.match(respellingsOf([row(capital, capital)]), [{ from: capital, to: '\u00F6mer@example.com' }])
  t.strictSame(respellingsOf([row('info@ex\u00E4mple.com', 'info@ex\u00E4mple.com')]), [])
  t.end()
})
