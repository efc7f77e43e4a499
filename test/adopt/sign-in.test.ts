import { test } from 'tap'
import { COST } from '../../src/accounts/passwords/passwords.ts'
import { isAnswer } from '../support/answers.ts'
import { needsPostgres } from '../support/database.ts'
import { type ExpectedUser, expected, serviceOn, templateDatabase } from './support/template.ts'

const CURRENT = /^\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/

/** Addresses in another script or over-long: odd-addresses.test.ts. */
const isOrdinary = ({ what }: ExpectedUser) => !/address|local part/.test(what)
/** The second of those whose addresses differ by case alone. */
const addressOf = ({ email }: ExpectedUser) => (email === 'twice@example.com' ? 'twice+2@example.com' : email)

void test('after an adoption', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt()
  const service = await serviceOn(t, database, {}, { hashing: { cost: COST } })
  const { call, signIn } = service
  const hashOf = async (id: string) => {
    const [row] = await database.rows<{ hashed_password: string }>(
      `select hashed_password from users where id = '${id}'`,
    )
    return row?.hashed_password
  }

  for (const user of expected.users.filter((user) => isOrdinary(user) && user.is_active))
    await t.test(`whoever has ${user.what} (${user.email}) signs in with the old password`, async (t) => {
      const before = await hashOf(user.id)
      const { status, body } = await signIn(addressOf(user), user.password)
      t.equal(status, 200)
      const headers = { authorization: `Bearer ${body.access_token}` }
      t.match((await call('GET', '/users/me', { headers })).body, { id: user.id, email: addressOf(user) })
      const after = await hashOf(user.id)
      t.match(after, CURRENT, 'the hash is renewed')
      if (after !== before)
        t.equal((await signIn(addressOf(user), user.password)).status, 200, 'it is of the same password')

      const items = expected.items.filter((item) => item.owner_id === user.id).map(({ id }) => id)
      const list = await call('GET', '/items/', { headers })
      if (list.body.data.some((item: { owner_id: string }) => item.owner_id !== user.id)) return
      t.strictSame(list.body.data.map(({ id }: { id: string }) => id).toSorted(), items.toSorted())
    })

  await t.test('a wrong password lets nobody in, whatever the hash is of', async (t) => {
    const hasBcrypt = expected.users.find(({ email }) => email === 'bcrypt-a@example.com')!
    await database.sql`update users set hashed_password = (select hashed_password from template_user where id = ${hasBcrypt.id})
      where id = ${hasBcrypt.id}`
    for (const { email, password } of [expected.users[0]!, hasBcrypt])
      isAnswer(t, await signIn(email, `?${password}`), 400, 'Incorrect email or password')
  })

  const inactive = expected.users.find(({ what }) => what === 'inactive')!
  await t.test('whoever was inactive is 400 Inactive user with the right password', async (t) => {
    isAnswer(t, await signIn(inactive.email, inactive.password), 400, 'Inactive user')
  })

  await t.test('whoever was inactive gets no welcome when they are activated again', async (t) => {
    const body = { is_active: true }
    t.equal((await call('PATCH', `/users/${inactive.id}`, { as: service.admin, body })).status, 200)
    t.strictSame(await database.rows(`select from emails where recipient = '${inactive.email}'`), [])
    t.equal((await signIn(inactive.email, inactive.password)).status, 200)
  })

  await t.test('a bcrypt hash of the first 72 bytes is renewed to one of the whole password', async (t) => {
    const long = expected.users.find(({ email }) => email === 'bcrypt-long@example.com')!
    const cut = Buffer.from(long.password).subarray(0, 72).toString()
    isAnswer(t, await signIn(long.email, cut), 400, 'Incorrect email or password')
    t.equal((await signIn(long.email, long.password)).status, 200)
  })

  await t.test('a reset token of the template is 400 Invalid token', async (t) => {
    const token = service.app.jwt.sign({ sub: 'argon0@example.com' } as never, { key: expected.secret_key })
    const body = { token, new_password: 'another horse battery' }
    isAnswer(t, await call('POST', '/reset-password/', { body }), 400, 'Invalid token')
  })
})
