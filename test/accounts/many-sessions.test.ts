import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { MOST_SESSIONS } from '../../src/config/limits.ts'
import { isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { onPostgres } from '../support/database.ts'
import { type Person, startService } from '../support/service.ts'

const SESSIONS = '/users/me/sessions'

void test('a person with many sessions', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, rows, person, signIn } = service

  /** Sessions as of earlier sign-ins, oldest first. */
  const openMany = ({ id }: Person, sessions: number) =>
    rows(sql`insert into sessions (user_id, credentials_version, created_at, expires_at)
      select ${id}, 0, now() - make_interval(mins => number), now() + interval '1 day'
      from generate_series(${sessions}::integer, 1, -1) number`)
  const live = async ({ id }: Person) =>
    (await rows(sql`select from sessions where user_id = ${id} and expires_at > now()`)).length

  await t.test('a sign-in of a user with 100 sessions ends the oldest one', async (t) => {
    const ada = await person()
    await openMany(ada, MOST_SESSIONS - 1)
    const oldest = sql`select id from sessions where user_id = ${ada.id} order by created_at limit 1`
    const [before] = await rows<{ id: string }>(oldest)
    t.equal((await signIn(ada.email, ada.password)).status, 200)
    t.equal(await live(ada), MOST_SESSIONS)
    t.strictSame(await rows(sql`select from sessions where id = ${before!.id}`), [])
    t.equal((await call('GET', '/users/me', { as: ada })).status, 200, 'no newer one')
  })

  await t.test('30 sign-ins at once leave a user 100 sessions, all new ones among them', async (t) => {
    const [ada, bob] = [await person(), await person()]
    await openMany(ada, MOST_SESSIONS - 2)
    await openMany(bob, 5)
    const answers = await Promise.all(Array.from({ length: 30 }, () => signIn(ada.email, ada.password)))
    t.ok(answers.every(({ status }) => status === 200))
    t.equal(await live(ada), MOST_SESSIONS)
    t.equal(await live(bob), 6, 'nobody else loses one')
    const newest = answers.map(({ body }) => body.refresh_token.split('.')[0] as string)
    const left = await rows<{ id: string }>(sql`select id from sessions where user_id = ${ada.id}`)
    const ids = new Set(left.map(({ id }) => id))
    t.ok(
      newest.every((id) => ids.has(id)),
      'those just opened are there',
    )
  })

  await t.test('expired sessions do not count towards the 100', async (t) => {
    const ada = await person()
    await openMany(ada, MOST_SESSIONS - 1)
    await rows(sql`insert into sessions (user_id, credentials_version, expires_at)
      select ${ada.id}, 0, now() - interval '1 day' from generate_series(1, 50)`)
    t.equal(await live(ada), MOST_SESSIONS)
    t.equal((await call('GET', '/users/me', { as: ada })).status, 200)
  })

  await t.test('a user with 50,000 sessions signs in and lists them', { skip: !onPostgres }, async (t) => {
    const ada = await person()
    await rows(sql`alter table sessions disable trigger limit_sessions`)
    await openMany(ada, 50_000)
    await rows(sql`alter table sessions enable trigger limit_sessions`)
    t.equal((await signIn(ada.email, ada.password)).status, 200)
    t.equal((await call('GET', SESSIONS, { as: ada })).status, 200)
  })

  await t.test('a user lists their own sessions in pages, newest first', async (t) => {
    const ada = await person()
    await openMany(ada, 10)
    const all = (await call('GET', SESSIONS, { as: ada })).body
    t.match(all, { count: 11, next_cursor: null })
    t.equal(all.data[0].is_current, true, 'newest first')
    const seen: object[] = []
    let cursor = ''
    do {
      const { body } = await call('GET', `${SESSIONS}?limit=4${cursor && `&cursor=${cursor}`}`, { as: ada })
      t.equal(body.count, 11)
      seen.push(...body.data)
      cursor = body.next_cursor
    } while (cursor)
    t.strictSame(seen, all.data)
    const third = (await call('GET', `${SESSIONS}?skip=4&limit=4`, { as: ada })).body
    t.strictSame(third.data, all.data.slice(4, 8))
    isRefused(t, await call('GET', `${SESSIONS}?limit=0&skip=-1`, { as: ada }), ['query.limit', 'query.skip'])
    isRefused(t, await call('GET', `${SESSIONS}?cursor=abc`, { as: ada }), ['query.cursor'])
    const [bob, [, , , foreign]] = [await person(), all.data]
    const forBob = await call('GET', SESSIONS, { as: bob })
    t.notOk(forBob.text.includes(foreign.id), "never another's")
  })
})
