import { randomUUID } from 'node:crypto'
import { dictionary } from '@zxcvbn-ts/language-common'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { freshDatabase } from '../support/database.ts'
import { faultsBody } from '../support/errors.ts'
import { address, startService } from '../support/service.ts'

const COMMON = 'password1'
const NEW_PASSWORD = 'another horse battery'
const listed = dictionary['passwords-common'].filter((password) => password.length >= 8)

/** The exact body of the 422, from which a frontend shows the message at the field. */
const refusal = (field: string) =>
  faultsBody({
    type: 'common_password',
    loc: ['body', field],
    msg: 'Password is among the most common ones; choose another',
  })

void test('fault 14: common passwords', async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'false' })
  cheapHashing(service)
  const { call, admin, signIn, resetToken } = service
  const signup = (body: object) => call('POST', '/users/signup', { body: { email: address(), ...body } })
  const create = (body: object) => call('POST', '/users/', { as: admin, body: { email: address(), ...body } })
  const administer = (id: string, body: object) => call('PATCH', `/users/${id}`, { as: admin, body })

  await t.test(
    'the 3,000 most common passwords of 8 or more characters are 422, whatever their case',
    async (t) => {
      for (const password of [...listed.slice(0, 40), ...listed.slice(2960, 3000)]) {
        isAnswer(t, await signup({ password }), 422, refusal('password'), password)
        isAnswer(t, await signup({ password: password.toUpperCase() }), 422, refusal('password'), password)
      }
      t.equal((await signup({ password: listed[3000]! })).status, 200, 'and no more than that')
      for (const password of [
        'aaaaaaab1',
        '        ',
        `${COMMON}!`,
        '🦊🦉🐝🦋🐞🐢🦔🐌',
        'ünïcödés',
        'correcthorse',
      ])
        t.equal((await signup({ password })).status, 200, `no rule of composition refuses ${password}`)
    },
  )

  await t.test('a common password at sign-up is told after an invalid body or a taken address', async (t) => {
    const ada = await service.person()
    isRefused(t, await signup({ password: COMMON, full_name: 5 }), ['body.full_name'])
    const taken = 'The user with this email already exists in the system'
    isAnswer(t, await signup({ email: ada.email.toUpperCase(), password: COMMON }), 400, taken)
    const email = address()
    isAnswer(t, await signup({ email, password: COMMON }), 422, refusal('password'))
    isAnswer(t, await signIn(email, COMMON), 400, 'Incorrect email or password', 'nobody was made')
  })

  await t.test('a common new password is told after a wrong current password', async (t) => {
    const ada = await service.person()
    const change = (current_password: string, new_password: string) =>
      call('PATCH', '/users/me/password', { as: ada, body: { current_password, new_password } })
    isAnswer(t, await change('wrong horse', COMMON), 400, 'Incorrect password')
    isAnswer(t, await change(ada.password, COMMON), 422, refusal('new_password'))
    t.equal((await signIn(ada.email, ada.password)).status, 200, 'nothing was changed')

    const bob = await service.person({ password: COMMON })
    const body = { current_password: COMMON, new_password: COMMON }
    const same = 'New password cannot be the same as the current one'
    isAnswer(t, await call('PATCH', '/users/me/password', { as: bob, body }), 400, same)
  })

  await t.test('a bad token is told before a common password, which leaves a good token valid', async (t) => {
    const ada = await service.person()
    const reset = (token: string, new_password: string) =>
      call('POST', '/reset-password/', { body: { token, new_password } })
    isAnswer(t, await reset('nonsense', COMMON), 400, 'Invalid token')
    const token = await resetToken(ada.email)
    isAnswer(t, await reset(token, COMMON), 422, refusal('new_password'))
    t.equal((await reset(token, NEW_PASSWORD)).status, 200, 'one chooses another')
    isAnswer(t, await reset(token, COMMON), 400, 'Invalid token', 'used')
    const inactive = await resetToken(ada.email)
    await administer(ada.id, { is_active: false })
    isAnswer(t, await reset(inactive, COMMON), 400, 'Inactive user')
  })

  await t.test('a common password set by a superuser is told after any 400, 403, 404 and 409', async (t) => {
    const [ada, bob] = [await service.person(), await service.person()]
    isAnswer(t, await create({ password: COMMON }), 422, refusal('password'))
    const taken = 'The user with this email already exists in the system.'
    isAnswer(t, await create({ email: ada.email, password: COMMON }), 400, taken)

    const change = (body: object, id = ada.id) => administer(id, { password: COMMON, ...body })
    isAnswer(t, await change({}), 422, refusal('password'))
    isAnswer(t, await change({ email: ada.email.toUpperCase() }), 422, refusal('password'), 'its own address')
    isAnswer(t, await change({ email: bob.email.toUpperCase() }), 409, 'User with this email already exists')
    const missing = 'The user with this id does not exist in the system'
    isAnswer(t, await change({ email: bob.email }, randomUUID()), 404, missing)
    const last = 'The last active superuser cannot be removed'
    for (const removal of [{ is_superuser: false }, { is_active: false, email: bob.email }])
      isAnswer(t, await change(removal, admin.id), 403, last)
    isAnswer(t, await change({ is_superuser: true }, admin.id), 422, refusal('password'))
    const boss = await service.superuser()
    isAnswer(t, await change({ is_superuser: false }, boss.id), 422, refusal('password'), 'one more is left')
    await change({ full_name: 'Late' })
    t.match((await call('GET', '/users/me', { as: ada })).body, { full_name: 'Ada' }, 'nothing was changed')
    t.equal((await call('GET', '/users/', { as: boss })).status, 200, 'nor anybody signed out')
  })

  await t.test(
    'in local, users of /private/users and the first superuser may have a common password',
    async (t) => {
      t.equal((await service.person({ password: COMMON })).password, COMMON)
      t.equal((await signIn('admin@example.com', 'changethis')).status, 200)
    },
  )

  await t.test('passwords of 100 characters that differ in a single one are not the same', async (t) => {
    const one = `${'x'.repeat(89)}a${'y'.repeat(10)}`
    const email = address()
    await signup({ email, password: one })
    isAnswer(t, await signIn(email, one.replace('a', 'b')), 400, 'Incorrect email or password')
    t.equal((await signIn(email, one)).status, 200)
  })
})

void test('fault 14: outside local, a common FIRST_SUPERUSER_PASSWORD stops the start', async (t) => {
  const env = { ENVIRONMENT: 'staging', DATABASE_URL: 'postgres://127.0.0.1/unused' }
  const line = /^ {2}- FIRST_SUPERUSER_PASSWORD: among the most common passwords; choose another$/m
  const connection = await freshDatabase()
  const refused = startService(t, { ...env, FIRST_SUPERUSER_PASSWORD: COMMON }, { connection })
  await t.rejects(refused, { name: 'ConfigError', message: line })
  await connection.close()
  await startService(t, { FIRST_SUPERUSER_PASSWORD: COMMON })
})
