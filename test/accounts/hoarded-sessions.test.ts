import { test } from 'tap'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { needsPostgres } from '../support/database.ts'
import { type Answer, type Person, startService } from '../support/service.ts'
import { served } from '../support/until.ts'
import { volume } from '../support/volume.ts'

/** More rows than one statement can delete within the statement timeout. */
const MANY = 600_000
const FEWER = 20_000

void test('a user with 600,000 sessions can end them', needsPostgres, async (t) => {
  const { connection, fill } = await volume(t)
  const service = await startService(t, {}, { connection })
  cheapHashing(service)
  const { call, person, signIn, resetToken, admin } = service

  async function hoarder(many: number) {
    const ada = await person()
    const later = await signIn(ada.email, ada.password)
    await fill`
      insert into sessions (user_id, credentials_version, created_at, expires_at)
      select ${ada.id}, credentials_version, now() - make_interval(secs => n), now() + interval '30 days'
      from users, generate_series(1, ${many}::int) n where users.id = ${ada.id}`
    return {
      ...ada,
      refresh_token: later.body.refresh_token as string,
      other: later.body.access_token as string,
    }
  }
  const left = async ({ id }: Person) =>
    Number((await fill`select count(*)::int as sessions from sessions where user_id = ${id}`)[0]?.sessions)
  async function untilLeft(person: Person, many: number) {
    for (const deadline = Date.now() + 600_000; (await left(person)) !== many;) {
      if (Date.now() > deadline) throw new Error(`${await left(person)} are left`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  const new_password = 'another horse battery'
  const ways: Record<string, { end: (ada: Person) => Promise<Answer>; keeps: number }> = {
    'by a reset': {
      end: async ({ email }) =>
        call('POST', '/reset-password/', { body: { token: await resetToken(email), new_password } }),
      keeps: 0,
    },
    'by another password': {
      end: (ada) =>
        call('PATCH', '/users/me/password', {
          as: ada,
          body: { current_password: ada.password, new_password },
        }),
      keeps: 1,
    },
    'by a superuser': {
      end: ({ id }) => call('PATCH', `/users/${id}`, { as: admin, body: { password: new_password } }),
      keeps: 0,
    },
    'by deactivation': {
      end: ({ id }) => call('PATCH', `/users/${id}`, { as: admin, body: { is_active: false } }),
      keeps: 0,
    },
    'by ending all others': { end: (ada) => call('DELETE', '/users/me/sessions', { as: ada }), keeps: 1 },
  }
  /** The deletion of rows is waited for only here: once where no session is kept, once where one is. */
  const waits = new Set(['by a reset', 'by ending all others'])
  for (const [way, { end, keeps }] of Object.entries(ways))
    await t.test(way, async (t) => {
      const many = way === 'by a reset' ? MANY : FEWER
      const ada = await hoarder(many)
      await fill.begin(async (sql) => {
        // A request that deleted all rows itself would wait for this lock until its statement timeout.
        await sql`
          select from sessions where id = (
            select id from sessions where user_id = ${ada.id} order by created_at offset ${many / 2} limit 1
          ) for update`
        t.equal((await end(ada)).status, 200)
      })
      // Only ending them has to be in time; these may be retried after a 503.
      const ask: typeof call = (...what) => served(() => call(...what))
      t.equal((await ask('GET', '/users/me', { as: ada })).status, keeps ? 200 : 401)
      t.equal((await ask('GET', '/users/me', { as: { ...ada, token: ada.other } })).status, 401)
      const { refresh_token } = ada
      t.equal((await ask('POST', '/login/refresh-token', { body: { refresh_token } })).status, 401)
      if (keeps) t.match((await ask('GET', '/users/me/sessions', { as: ada })).body, { count: 1 })
      if (waits.has(way)) await untilLeft(ada, keeps)
      await fill`delete from sessions where user_id = ${ada.id}`
    })
})

void test(
  'sessions that were ended but not yet deleted before a kill are deleted by the next process',
  needsPostgres,
  async (t) => {
    const { connection, fill } = await volume(t)
    await connection.migrate()
    const users = await fill`insert into users (email, hashed_password, credentials_version)
    values ('ada@example.com', '', 2), ('bob@example.com', '', 1) returning id`
    const [ada, bob] = users.map(({ id }) => String(id))
    const open = (id: string | undefined, version: number, many: number) => fill`
    insert into sessions (user_id, credentials_version, expires_at)
    select ${id!}, ${version}, now() + interval '30 days' from generate_series(1, ${many}::int)`
    await open(ada, 1, 25_000)
    await open(ada, 2, 3)
    await open(bob, 1, 5)
    await reaper(connection.db, [])()
    t.same(
      await fill`select user_id, credentials_version, count(*)::int as sessions from sessions
      group by user_id, credentials_version order by credentials_version desc`,
      [
        { user_id: ada, credentials_version: 2, sessions: 3 },
        { user_id: bob, credentials_version: 1, sessions: 5 },
      ],
    )
  },
)

void test('a session that is opened after others were ended stays', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, person, again } = service
  const ada = await person()
  const other = await again(ada)
  t.equal((await call('DELETE', '/users/me/sessions', { as: ada })).status, 200)
  const later = await again(ada)
  const states = await Promise.all([ada, other, later].map((as) => call('GET', '/users/me', { as })))
  t.strictSame(
    states.map(({ status }) => status),
    [200, 401, 200],
  )
  t.match((await call('GET', '/users/me/sessions', { as: later })).body, { count: 2 })
})
