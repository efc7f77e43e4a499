import { test } from 'tap'
import { refusesToken } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { type Person, type Service, startService } from '../support/service.ts'

const NEW_PASSWORD = 'another horse battery'

/** What a user or a superuser does about an account that somebody else is signed in to. */
const causes: Record<string, (service: Service, of: Person) => Promise<{ status: number }>> = {
  'a reset': async ({ call, resetToken }, { email }) =>
    call('POST', '/reset-password/', {
      body: { token: await resetToken(email), new_password: NEW_PASSWORD },
    }),
  'a new password by an administrator': ({ call, admin }, { id }) =>
    call('PATCH', `/users/${id}`, { as: admin, body: { password: NEW_PASSWORD } }),
  'the same password by an administrator': ({ call, admin }, { id, password }) =>
    call('PATCH', `/users/${id}`, { as: admin, body: { password } }),
  deactivation: ({ call, admin }, { id }) =>
    call('PATCH', `/users/${id}`, { as: admin, body: { is_active: false } }),
  'demotion by another': ({ call, admin }, { id }) =>
    call('PATCH', `/users/${id}`, { as: admin, body: { is_superuser: false } }),
  'demotion by oneself': ({ call }, of) =>
    call('PATCH', `/users/${of.id}`, { as: of, body: { is_superuser: false } }),
  'deletion by an administrator': ({ call, admin }, { id }) => call('DELETE', `/users/${id}`, { as: admin }),
}

void test('revocation', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, admin, again } = service
  const me = (as: Person) => call('GET', '/users/me', { as })

  for (const [cause, happens] of Object.entries(causes)) {
    await t.test(
      `fault 2: after ${cause} every access token of the user is 401 at once, and no other user's`,
      async (t) => {
        const of = await service.superuser()
        const bystander = await service.superuser()
        const sessions = [of, await again(of), await again(of)]
        for (const session of sessions) t.equal((await me(session)).status, 200)

        t.equal((await happens(service, of)).status, 200)
        for (const session of sessions) {
          refusesToken(t, await me(session))
          refusesToken(t, await call('GET', '/users/', { as: session }), 'a superuser’s route')
          refusesToken(t, await call('POST', '/papers/', { as: session, body: { title: 'x' } }), 'a write')
        }
        t.equal((await me(bystander)).status, 200)
        t.equal((await me(admin)).status, 200)
      },
    )
  }

  await t.test('a user who deletes their account is signed out on every device', async (t) => {
    const ada = await service.person()
    const sessions = [ada, await again(ada)]
    t.equal((await call('DELETE', '/users/me', { as: ada })).status, 200)
    for (const session of sessions) refusesToken(t, await me(session))
  })

  await t.test(
    'fault 2: a change of password ends every other session of the user, and keeps this one',
    async (t) => {
      const ada = await service.person()
      const [others, bystander] = [[await again(ada), await again(ada)], await service.person()]
      const body = { current_password: ada.password, new_password: NEW_PASSWORD }
      t.equal((await call('PATCH', '/users/me/password', { as: ada, body })).status, 200)
      for (const session of others) refusesToken(t, await me(session))
      t.equal((await me(ada)).status, 200)
      t.equal((await me(bystander)).status, 200)

      const later = await again({ ...ada, password: NEW_PASSWORD })
      const back = { current_password: NEW_PASSWORD, new_password: ada.password }
      t.equal((await call('PATCH', '/users/me/password', { as: later, body: back })).status, 200)
      refusesToken(t, await me(ada), 'a session that went on once ends when another one changes the password')
      t.equal((await me(later)).status, 200)
    },
  )

  await t.test('a refused change of password, update or reset ends no session', async (t) => {
    const ada = await service.person()
    const other = await again(ada)
    const wrong = { current_password: 'wrong horse battery', new_password: NEW_PASSWORD }
    t.equal((await call('PATCH', '/users/me/password', { as: ada, body: wrong })).status, 400)
    const taken = { email: admin.email, password: NEW_PASSWORD, is_active: false }
    t.equal((await call('PATCH', `/users/${ada.id}`, { as: admin, body: taken })).status, 409)
    const reset = { token: 'nonsense', new_password: NEW_PASSWORD }
    t.equal((await call('POST', '/reset-password/', { body: reset })).status, 400)
    for (const session of [ada, other]) t.equal((await me(session)).status, 200)
  })

  await t.test('a new name, a promotion or an unchanged flag ends no session', async (t) => {
    const ada = await service.person()
    for (const body of [
      { full_name: 'Ada L.' },
      { is_active: true },
      { is_superuser: false },
      { is_superuser: true },
    ])
      t.equal((await call('PATCH', `/users/${ada.id}`, { as: admin, body })).status, 200)
    t.match((await me(ada)).body, { full_name: 'Ada L.', is_superuser: true }, 'they show at once')
  })

  await t.test('a demoted superuser who signs in again is an ordinary user', async (t) => {
    const boss = await service.superuser()
    await call('PATCH', `/users/${boss.id}`, { as: admin, body: { is_superuser: false } })
    const demoted = await again(boss)
    t.equal((await call('GET', '/users/', { as: demoted })).status, 403)
  })

  await t.test(
    'a session that deactivation ended stays 401 after reactivation and a new sign-in',
    async (t) => {
      const ada = await service.person()
      for (const is_active of [false, true])
        await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active } })
      refusesToken(t, await me(ada))
      t.equal((await me(await again(ada))).status, 200)
      refusesToken(t, await me(ada), 'nor does a new sign-in')
    },
  )

  await t.test('a session that a demotion ended stays 401 after a promotion', async (t) => {
    const boss = await service.superuser()
    for (const is_superuser of [false, true])
      await call('PATCH', `/users/${boss.id}`, { as: admin, body: { is_superuser } })
    refusesToken(t, await me(boss))
  })
})
