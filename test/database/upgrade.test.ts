import { sql } from 'drizzle-orm'
import { test } from 'tap'
import type { Connection } from '../../src/database/connect.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { emptyDatabase } from '../support/database.ts'
import { migrateUpTo } from '../support/migrate-up-to.ts'
import { startService } from '../support/service.ts'

const TABLES = ['users', 'sessions', 'one_time_tokens', 'emails']

/** Rows as 0.1.0 wrote them: its columns, and no others. */
async function write0_1_0({ db }: Connection, name: string) {
  const email = `${name}@example.com`
  await db.execute(sql`
    with account as (
      insert into users (email, full_name, hashed_password, is_verified)
      values (${email}, ${name}, 'cheap:correct horse battery', true) returning id
    ), session as (
      insert into sessions (user_id, credentials_version, user_agent, ip_address, expires_at)
      select id, 0, 'old browser', '203.0.113.7', now() + interval '1 day' from account returning id
    ), token as (
      insert into one_time_tokens (user_id, purpose, slot, email, expires_at)
      select id, 'reset_password', 1, ${email}, now() + interval '1 hour' from account returning id
    )
    insert into emails (user_id, message, recipient, token_id)
    select account.id, 'recovery', ${email}, token.id from account, token`)
}

async function countsOf({ db }: Connection) {
  const counts: Record<string, number> = {}
  for (const table of TABLES) {
    const [row] = await db
      .select({ count: sql<number>`count(*)::integer` })
      .from(sql`${sql.identifier(table)}`)
    counts[table] = row?.count ?? 0
  }
  return counts
}

void test('an upgrade from 0.1.0 keeps accounts, sessions, mails and reset links working', async (t) => {
  const connection = await emptyDatabase()
  await migrateUpTo(t, connection, '0000_initial')
  await write0_1_0(connection, 'ada')
  await connection.db.execute(sql`update sessions set created_at = now() - interval '2 hours'`)
  const before = await countsOf(connection)
  t.same(before, Object.fromEntries(TABLES.map((table) => [table, 1])))

  const env = { EMAIL_VERIFICATION: 'off' }
  const service = await startService(t, env, { connection })
  cheapHashing(service)
  const { call, signIn, admin } = service
  const after = await countsOf(connection)
  t.match(
    { ...after, users: after.users! - 1, sessions: after.sessions! - 1 },
    before,
    'nothing is lost; the first superuser and their session came with the start',
  )
  const { status, body } = await signIn('Ada@example.com', 'correct horse battery')
  t.equal(status, 200, 'who had an account has it')
  const headers = { authorization: `Bearer ${body.access_token}` }
  t.match((await call('GET', '/users/me', { headers })).body, {
    email: 'ada@example.com',
    full_name: 'ada',
    is_verified: true,
  })
  const sessions = await call('GET', '/users/me/sessions', { headers })
  t.equal(sessions.body.count, 2, 'sessions go on')
  const old = sessions.body.data[1]
  t.strictSame(
    { user_agent: old.user_agent, authenticated_at: old.authenticated_at, methods: old.methods },
    { user_agent: 'old browser', authenticated_at: old.created_at, methods: ['pwd'] },
    'a session from before was authenticated, with the password, when it was created',
  )
  const { id: user_id } = (await call('GET', '/users/me', { headers })).body
  const { access_token } = service.app.auth.tokens({ id: old.id, user_id, generation: 0 })
  const asBefore = { headers: { authorization: `Bearer ${access_token}` } }
  t.equal((await call('GET', '/users/me', asBefore)).status, 200)
  isAnswer(t, await call('DELETE', '/users/me', asBefore), 403, 'Recent sign-in required')
  const mails = await call('GET', '/mails/', { as: admin })
  t.match(mails.body, { count: 1, data: [{ message: 'recovery', recipient: 'ada@example.com' }] })
  const [token] = await service.rows<{ id: string }>(sql`select id from one_time_tokens`)
  const reset = {
    token: service.app.auth.oneTimeTokens.sign('reset_password', token!.id),
    new_password: 'another long one',
  }
  isAnswer(t, await call('POST', '/reset-password/', { body: reset }), 200, {
    message: 'Password updated successfully',
  })

  await t.test('after the upgrade, a replica of 0.1.0 can still write', async (t) => {
    const { emails = 0 } = await countsOf(connection)
    await write0_1_0(connection, 'grace')
    const { status, body } = await signIn('grace@example.com', 'correct horse battery')
    t.equal(status, 200)
    const headers = { authorization: `Bearer ${body.access_token}` }
    const { body: sessions } = await call('GET', '/users/me/sessions', { headers })
    const written = sessions.data.find(
      (session: { user_agent: string }) => session.user_agent === 'old browser',
    )
    t.strictSame([written.authenticated_at, written.methods], [written.created_at, ['pwd']])
    t.equal((await countsOf(connection)).emails, emails + 1)
  })
})
