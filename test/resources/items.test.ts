import { test } from 'tap'
import { startService } from '../support/service.ts'

void test('items', async (t) => {
  const service = await startService(t)
  const { call } = service
  const [owner, other] = [await service.person(), await service.person()]
  const everybody = { owner, other, admin: service.admin, nobody: undefined }

  const created = await call('POST', '/items/', { as: owner, body: { title: 'Engine', description: null } })
  t.match(created, { status: 200, body: { title: 'Engine', description: null, owner_id: owner.id } })
  const path = `/items/${created.body.id}`

  await t.test(
    'an owner and a superuser read an item; another user is refused, nobody is asked who they are',
    async (t) => {
      const expected = { owner: 200, admin: 200, other: 403, nobody: 401 }
      for (const [who, status] of Object.entries(expected)) {
        t.equal(
          (await call('GET', path, { as: everybody[who as keyof typeof everybody] })).status,
          status,
          who,
        )
      }
      t.match((await call('GET', path, { as: other })).body, { detail: 'Not enough permissions' })
    },
  )
})
