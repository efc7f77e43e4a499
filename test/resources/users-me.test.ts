import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { asksForToken, isAnswer, isRefused, refusesToken } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { address, startService } from '../support/service.ts'

const TAKEN = 'The user with this email already exists in the system'
const TAKEN_BY_ANOTHER = 'User with this email already exists'
const NO_PRIVILEGES = "The user doesn't have enough privileges"
const ME = '/users/me'
const STRANGE = { id: 'x', is_active: false, is_superuser: true, is_verified: true, hashed_password: 'x' }
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

void test('signup', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, signIn, rows } = service
  const password = 'correct horse battery'
  const signup = (body: unknown) => call('POST', '/users/signup', { body })

  await t.test('a new user can sign up and then sign in', async (t) => {
    const email = `Ada.${address()}`
    const answer = await signup({ email, password, full_name: 'Ada' })
    const { id, created_at } = answer.body
    const flags = { is_active: true, is_superuser: false, is_verified: false }
    isAnswer(t, answer, 200, { id, email, ...flags, full_name: 'Ada', created_at })
    t.match(id, UUID)
    t.match(created_at, TIME)
    t.equal((await signIn(email.toLowerCase(), password)).status, 200)
  })

  await t.test('fault 10: is_superuser, is_verified and id in a sign-up are ignored', async (t) => {
    const { status, body } = await signup({ email: address(), password, ...STRANGE })
    t.equal(status, 200)
    t.match(body, { id: UUID, is_active: true, is_superuser: false, is_verified: false, full_name: null })
    const [row] = await rows<{ hashed_password: string }>(
      sql`select hashed_password from users where id = ${body.id}`,
    )
    t.not(row?.hashed_password, 'x')
  })

  await t.test('an address has one account, whatever its case', async (t) => {
    const email = address()
    t.equal((await signup({ email, password, full_name: null })).status, 200)
    isAnswer(t, await signup({ email, password }), 400, TAKEN)
    isAnswer(t, await signup({ email: email.toUpperCase(), password: 'another one' }), 400, TAKEN)
    t.equal((await signIn(email, password)).status, 200, 'the first one stands as it was')
  })

  await t.test('a sign-up with several invalid fields is 422 and names them all', async (t) => {
    isRefused(t, await call('POST', '/users/signup'), ['body'], 'no body')
    isRefused(t, await signup({}), ['body.email', 'body.password'])
    const wrong = await signup({ email: 'ada', password: '1234567', full_name: 5 })
    isRefused(t, wrong, ['body.email', 'body.password', 'body.full_name'])
    isRefused(t, await signup({ email: address(), password: '🦊'.repeat(7) }), ['body.password'])
    isRefused(t, await signup({ email: address(), password: '🦊'.repeat(129) }), ['body.password'])
    isRefused(t, await signup({ email: address(), password, full_name: '🦊'.repeat(256) }), [
      'body.full_name',
    ])
    isRefused(t, await signup({ email: null, password: null }), ['body.email', 'body.password'])
    const names = { full_name: '🦊'.repeat(255), password: '🦊'.repeat(8) }
    t.equal((await signup({ email: address(), ...names })).status, 200, 'lengths count code points')
  })

  await t.test('fault 10: users can change their own name and address, and no other field', async (t) => {
    const ada = await service.person()
    const me = (await call('GET', ME, { as: ada })).body
    t.match(me, { id: ada.id, email: ada.email, full_name: 'Ada', created_at: TIME })
    asksForToken(t, await call('GET', ME))
    asksForToken(t, await call('PATCH', ME, { body: { full_name: 5 } }))

    const change = (body: unknown) => call('PATCH', ME, { as: ada, body })
    isAnswer(t, await change({}), 200, me, 'nothing sent, nothing changed')
    isAnswer(t, await change({ full_name: 'Ada L.' }), 200, { ...me, full_name: 'Ada L.' })
    isAnswer(t, await change({ full_name: null, ...STRANGE }), 200, { ...me, full_name: null })
    const email = address()
    isAnswer(t, await change({ email }), 200, { ...me, full_name: null, email })
    isAnswer(t, await call('GET', ME, { as: ada }), 200, { ...me, full_name: null, email }, 'it is stored')
    t.equal((await signIn(email, ada.password)).status, 200)

    isRefused(t, await change({ email: null, full_name: 5 }), ['body.email', 'body.full_name'])
    isRefused(t, await change({ email: 'ada' }), ['body.email'])
    isRefused(t, await call('PATCH', ME, { as: ada }), ['body'])
  })

  await t.test("changing to another user's address is 409, to one's own in another case 200", async (t) => {
    const [ada, bob] = [await service.person(), await service.person()]
    const change = (email: string) => call('PATCH', ME, { as: ada, body: { email } })
    isAnswer(t, await change(bob.email), 409, TAKEN_BY_ANOTHER)
    isAnswer(t, await change(bob.email.toUpperCase()), 409, TAKEN_BY_ANOTHER)
    t.match((await change(ada.email.toUpperCase())).body, { email: ada.email.toUpperCase() })
  })

  await t.test('a changed address is unverified, unless only its case changed', async (t) => {
    const ada = await service.person()
    await rows(sql`update users set is_verified = true where id = ${ada.id}`)
    const change = async (email: string) => (await call('PATCH', ME, { as: ada, body: { email } })).body
    t.equal((await change(ada.email.toUpperCase())).is_verified, true)
    t.equal((await change(address())).is_verified, false)
  })

  await t.test('changing a password needs the current one', async (t) => {
    const ada = await service.person()
    const change = (current_password: unknown, new_password: unknown) =>
      call('PATCH', `${ME}/password`, { as: ada, body: { current_password, new_password } })
    isAnswer(t, await change('wrong horse battery', 'another horse'), 400, 'Incorrect password')
    const same = 'New password cannot be the same as the current one'
    isAnswer(t, await change(ada.password, ada.password), 400, same)
    isAnswer(t, await change('wrong horse', 'wrong horse'), 400, 'Incorrect password', 'no oracle')
    t.equal((await signIn(ada.email, ada.password)).status, 200, 'nothing has changed so far')
    const done = { message: 'Password updated successfully' }
    isAnswer(t, await change(ada.password, 'another horse'), 200, done)
    t.equal((await signIn(ada.email, ada.password)).status, 400)
    t.equal((await signIn(ada.email, 'another horse')).status, 200)

    isRefused(t, await change('x', '1234567'), ['body.new_password'])
    const places = ['body.current_password', 'body.new_password']
    isRefused(t, await change(undefined, undefined), places)
    isRefused(t, await change('🦊'.repeat(129), '🦊'.repeat(129)), places)
    asksForToken(t, await call('PATCH', `${ME}/password`, { body: {} }))
  })

  await t.test('deleting an account deletes its sessions and papers and frees its address', async (t) => {
    const ada = await service.person()
    const paper = (await call('POST', '/papers/', { as: ada, body: { title: 'Engine' } })).body
    asksForToken(t, await call('DELETE', ME))
    isAnswer(t, await call('DELETE', ME, { as: ada }), 200, { message: 'User deleted successfully' })
    refusesToken(t, await call('GET', ME, { as: ada }))
    t.equal((await signIn(ada.email, ada.password)).status, 400)
    const gone = await call('GET', `/papers/${paper.id}`, { as: service.admin })
    isAnswer(t, gone, 404, 'Paper not found')
    t.equal((await signup({ email: ada.email, password })).status, 200, 'the address is free again')
  })

  await t.test('a superuser who deletes themselves is 403', async (t) => {
    const refused = await call('DELETE', ME, { as: service.admin })
    isAnswer(t, refused, 403, 'Super users are not allowed to delete themselves')
    t.equal((await call('GET', ME, { as: service.admin })).status, 200)
  })

  await t.test('reading another user is 403, whether or not the id exists', async (t) => {
    const [ada, bob] = [await service.person(), await service.person()]
    const read = (id: string) => call('GET', `/users/${id}`, { as: ada })
    const me = (await call('GET', ME, { as: ada })).body
    isAnswer(t, await read(ada.id), 200, me)
    isAnswer(t, await read(ada.id.toUpperCase()), 200, me)
    isAnswer(t, await read(bob.id), 403, NO_PRIVILEGES)
    isAnswer(t, await read('00000000-0000-4000-8000-000000000000'), 403, NO_PRIVILEGES)
    isRefused(t, await read('1'), ['path.user_id'])
    asksForToken(t, await call('GET', `/users/${ada.id}`))
  })
})
