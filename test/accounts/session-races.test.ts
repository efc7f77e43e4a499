import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { refusesToken } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { needsPostgres, rounds } from '../support/database.ts'
import { type Answer, type Person, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const ROUNDS = rounds(50)
const NEW_PASSWORD = 'another horse battery'

interface Signed extends Person {
  readonly refresh_token: string
}

void test('races about sessions', needsPostgres, async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'false' })
  cheapHashing(service)
  const { app, call, admin, rows, signIn, resetToken } = service
  const count = async (query: ReturnType<typeof sql>) => (await rows(query)).length
  const open = async (person: Person): Promise<Signed> => {
    const { body } = await signIn(person.email, person.password)
    return { ...person, token: body.access_token, refresh_token: body.refresh_token }
  }
  const refresh = (refresh_token: string) => call('POST', '/login/refresh-token', { body: { refresh_token } })
  const me = (token: string) => call('GET', '/users/me', { headers: { authorization: `Bearer ${token}` } })
  const changePassword = (as: Person) =>
    call('PATCH', '/users/me/password', {
      as,
      body: { current_password: as.password, new_password: NEW_PASSWORD },
    })
  const answered = (answers: readonly Answer[], sensible: readonly number[]) =>
    answers.every(({ status }) => sensible.includes(status))
  const told = (answers: readonly Answer[]) => answers.map(({ status }) => status).join(' ')

  await t.test('fault 5: 20 tabs that refresh at once get one successor, and stay signed in', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const tab = await open(await service.person())
      const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(tab.refresh_token)))
      t.ok(answered(answers, [200]), told(answers))
      t.equal(new Set(answers.map(({ body }) => body.refresh_token as string)).size, 1, 'one successor')
      const [session] = await rows(sql`select generation from sessions where id = ${sessionOf(tab)}`)
      t.match(session, { generation: 1 }, 'one generation')
      const { access_token, refresh_token } = answers[round % 20]!.body
      t.equal((await me(access_token)).status, 200)
      t.equal((await refresh(refresh_token)).status, 200)
    }
  })

  await t.test(
    'fault 5: an old token used 19 times at once ends the session at most once, with one mail',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { id, refresh_token } = await open(await service.person())
        const { body } = await refresh(refresh_token)
        await rows(
          sql`update sessions set refreshed_at = now() - interval '61 seconds' where user_id = ${id}`,
        )
        const [newest, ...old] = await Promise.all([
          refresh(body.refresh_token),
          ...Array.from({ length: 19 }, () => refresh(refresh_token)),
        ])
        // Until the newest token is used, the one before it may be used again.
        const late = newest.status === 200
        t.ok(answered(old, late ? [200, 401] : [401]), `${newest.status}: ${told(old)}`)
        const ended = await count(sql`select from emails where user_id = ${id} and message = 'session_ended'`)
        const live = await count(sql`select from sessions where id = ${refresh_token.split('.')[0]}`)
        t.equal(ended + live, 1, `${ended} mails, ${live} sessions`)
      }
    },
  )

  const ends: Record<string, (of: Signed, token: string) => Promise<Answer>> = {
    'an administrator changes the password': ({ id }) =>
      call('PATCH', `/users/${id}`, { as: admin, body: { password: NEW_PASSWORD } }),
    'the user is deactivated': ({ id }) =>
      call('PATCH', `/users/${id}`, { as: admin, body: { is_active: false } }),
    'a link resets the password': (_of, token) =>
      call('POST', '/reset-password/', { body: { token, new_password: NEW_PASSWORD } }),
    'the user is deleted': ({ id }) => call('DELETE', `/users/${id}`, { as: admin }),
    'the user deletes the account': (of) => call('DELETE', '/users/me', { as: of }),
    'the session signs out': (of) => call('POST', '/login/logout', { as: of }),
  }
  for (const [event, happens] of Object.entries(ends)) {
    await t.test(
      `fault 2: a refresh while ${event} is 200 or 401, and leaves no token that works`,
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const of = await open(await service.person())
          const token = await resetToken(of.email)
          const [first, done, ...more] = await Promise.all([
            refresh(of.refresh_token),
            happens(of, token),
            refresh(of.refresh_token),
            refresh(of.refresh_token),
          ])
          t.equal(done.status, 200, done.text)
          const refreshed = [first, ...more]
          t.ok(answered(refreshed, [200, 401]), told(refreshed))
          for (const { body } of refreshed.filter(({ status }) => status === 200)) {
            refusesToken(t, await me(body.access_token))
            refusesToken(t, await refresh(body.refresh_token))
          }
        }
      },
    )
  }

  await t.test('a session that refreshes while it changes the password stays; others end', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await service.person()
      const [here, there] = [await open(person), await open(person)]
      const [mine, changed, theirs] = await Promise.all([
        refresh(here.refresh_token),
        changePassword(here),
        refresh(there.refresh_token),
      ])
      t.strictSame([mine.status, changed.status], [200, 200])
      t.ok(answered([theirs], [200, 401]), theirs.text)
      const next = await refresh(mine.body.refresh_token)
      t.equal((await me(next.body.access_token)).status, 200, 'this session goes on')
      refusesToken(t, await refresh(there.refresh_token))
      refusesToken(t, await me(there.token))
      if (theirs.status === 200) refusesToken(t, await refresh(theirs.body.refresh_token))
    }
  })

  const blocked = sql`select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  const held = ROUNDS
  const endOthers = (as: Person) => call('DELETE', '/users/me/sessions', { as })
  await t.test(
    'a device that ends all others and one that changes the password do not deadlock',
    async (t) => {
      for (let round = 0; round < held; round++) {
        const person = await service.person()
        const devices = [await open(person), await open(person), await open(person)] as const
        const calls: Promise<Answer>[] = []
        await app.db.transaction(async (other) => {
          await other.execute(
            sql`update sessions set user_agent = 'held' where id = ${sessionOf(devices[0])}`,
          )
          const begins = [() => endOthers(devices[1]), () => changePassword(devices[2])]
          for (const [at, begin] of (round % 2 ? begins : begins.toReversed()).entries()) {
            calls.push(begin())
            await until(async () => (await count(blocked)) > at)
          }
        })
        const answers = await Promise.all(calls)
        t.ok(answered(answers, [200, 401]), `round ${round}: ${told(answers)}`)
      }
    },
  )

  await t.test('the reaper skips locked sessions, and deletes them the next time', async (t) => {
    const people = [await open(await service.person()), await open(await service.person())] as const
    const past = sql`update sessions set expires_at = now() - interval '1 second'`
    for (const person of people) await rows(sql`${past} where id = ${sessionOf(person)}`)
    const left = () => count(sql`select from sessions where expires_at < now()`)
    await app.db.transaction(async (other) => {
      await other.execute(sql`update sessions set user_agent = 'held' where id = ${sessionOf(people[0])}`)
      await reaper(app.db, [])()
      t.equal(await left(), 1)
    })
    await reaper(app.db, [])()
    t.equal(await left(), 0)
  })
})

const sessionOf = ({ refresh_token }: Signed) => refresh_token.split('.')[0]
