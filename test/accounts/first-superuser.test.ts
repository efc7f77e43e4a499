import { eq, sql } from 'drizzle-orm'
import { test } from 'tap'
import { makeFirstSuperuser } from '../../src/accounts/users/first-superuser.ts'
import { users } from '../../src/database/tables.ts'
import { freshDatabase } from '../support/database.ts'
import { address, startService } from '../support/service.ts'

const local = {
  ENVIRONMENT: 'local',
  FIRST_SUPERUSER: 'admin@example.com',
  FIRST_SUPERUSER_PASSWORD: 'changethis',
} as const
const outside = {
  ENVIRONMENT: 'staging',
  DATABASE_URL: 'postgres://127.0.0.1/unused',
  SECRET_KEY: 'only for tests, and long enough for that',
}

void test('a restart does not undo changes to the first superuser', async (t) => {
  const connection = { ...(await freshDatabase()) }
  const { close } = connection
  t.teardown(close)
  const shared = { connection: { ...connection, close: () => Promise.resolve() } }
  const { call, admin, signIn, superuser, rows } = await startService(t, {}, shared)
  const again = async (env: Record<string, string> = {}) => {
    await startService(t, env, shared)
    return rows(sql`select email from users where is_superuser order by email`)
  }
  const email = address()

  await t.test('a restart keeps the changed address of the first superuser', async (t) => {
    t.equal((await call('PATCH', '/users/me', { as: admin, body: { email } })).status, 200)
    t.strictSame(await again(), [{ email }])
    t.equal((await signIn('admin@example.com', 'changethis')).status, 400, 'nobody has the first password')
  })

  await t.test('a restart does not bring back a deleted first superuser if there is another', async (t) => {
    const other = await superuser()
    t.equal((await call('DELETE', `/users/${admin.id}`, { as: other })).status, 200)
    t.strictSame(await again(), [{ email: other.email }])
  })

  await t.test('a start outside local needs no FIRST_SUPERUSER once there is a superuser', async (t) => {
    t.equal((await again(outside)).length, 1)
  })
})

void test('a start without an active superuser makes one, and needs FIRST_SUPERUSER_PASSWORD', async (t) => {
  const connection = await freshDatabase()
  const without = startService(t, outside, { connection })
  await t.rejects(without, {
    message: /^ {2}- FIRST_SUPERUSER_PASSWORD: needed, as there is no active superuser yet$/m,
  })
  const { db } = connection
  const { app, admin } = await startService(t, {}, { connection })
  await db.update(users).set({ is_active: false })
  const make = (settings: object) =>
    makeFirstSuperuser(db, app.auth.passwords, { ...local, PROJECT_NAME: 'Groundwork', ...settings })
  t.type(await make({}), 'symbol', 'one that was switched off is not switched on')
  t.type(await make({ FIRST_SUPERUSER: 'ADMIN@example.com' }), 'symbol', 'whatever its case')
  const [before] = await db.select().from(users).where(eq(users.id, admin.id))
  t.match(before, { is_active: false, is_superuser: true })

  await t.test(
    'of eight starts at once with different addresses, only one makes the first superuser',
    async (t) => {
      const starts = Array.from({ length: 8 }, () => make({ FIRST_SUPERUSER: address() }))
      const made = await Promise.all(starts)
      t.equal(made.filter((id) => id !== undefined).length, 1)
    },
  )
})
