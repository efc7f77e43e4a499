import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { keyring } from '../../src/config/secrets/keys.ts'
import { signedIds } from '../../src/config/secrets/signed-ids.ts'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { asksForToken, isAnswer, isRefused, refusesToken } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { onPostgres } from '../support/database.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { type Answer, type Person, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const SECRET_KEY = 'the secret that only this test knows'
const LOGIN = '/login/access-token'
const SESSIONS = '/users/me/sessions'
const NEW_PASSWORD = 'another horse battery'
const HERE = '203.0.113.7'

/** A user in one of their sessions. */
interface Device extends Person {
  readonly session: string
  readonly refresh_token: string
}

void test('sessions', async (t) => {
  const log = await collectingLogger()
  const env = {
    SECRET_KEY,
    TRUST_PROXY: '127.0.0.1',
    RATE_LIMIT_ENABLED: 'false',
    REFRESH_TOKEN_EXPIRE_DAYS: '7',
  }
  const service = await startService(t, env, { logger: log.logger })
  cheapHashing(service)
  const { app, call, admin, rows, resetToken } = service

  async function device(person: Person, agent = 'a browser', from = HERE): Promise<Device> {
    const form = { username: person.email, password: person.password }
    const headers = { 'user-agent': agent, 'x-forwarded-for': from }
    return signedInBy(person, await call('POST', LOGIN, { form, headers }))
  }
  const signedInBy = (person: Person, { body }: Answer): Device => ({
    ...person,
    token: body.access_token,
    refresh_token: body.refresh_token,
    session: body.refresh_token.split('.')[0],
  })
  const anybody = async () => device(await service.person())
  const refresh = (refresh_token: unknown) =>
    call('POST', '/login/refresh-token', { body: { refresh_token }, headers: { 'x-forwarded-for': HERE } })
  const refreshed = async (before: Device) => signedInBy(before, await refresh(before.refresh_token))
  const me = (as: Person) => call('GET', '/users/me', { as })
  const isIn = async (t: Test, of: Device, message: string) => t.equal((await me(of)).status, 200, message)
  const isOut = async (t: Test, of: Device, message: string) => {
    refusesToken(t, await me(of), message)
    refusesToken(t, await refresh(of.refresh_token), message)
  }
  const list = async (as: Person) => (await call('GET', SESSIONS, { as })).body
  const ids = async (as: Person) => ((await list(as)).data as { id: string }[]).map(({ id }) => id)
  const stored = async (of: Device) => {
    const [row] = await rows<{ days_left: number; generation: number }>(
      sql`select generation, extract(epoch from expires_at - now())::float / 86400 as days_left
          from sessions where id = ${of.session}`,
    )
    return row
  }
  /** As if it had been refreshed so many seconds ago. */
  const longAgo = (of: Device, seconds: number) =>
    rows(
      sql`update sessions set refreshed_at = now() - make_interval(secs => ${seconds}::integer) where id = ${of.session}`,
    )
  /** Uses the access token, and waits until that is stored. */
  async function isSeen(of: Device) {
    await me(of)
    const noted = sql`select from sessions where id = ${of.session} and seen_generation = generation`
    while ((await rows(noted)).length === 0) await pause(5)
  }
  const notices = ({ id }: Person) =>
    rows<{ recipient: string; params: object }>(
      sql`select recipient, params from emails where user_id = ${id} and message = 'session_ended'`,
    )
  const events = (name: string, of: Person) =>
    log.lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ event, user_id }) => event === name && user_id === of.id)

  await t.test('fault 5: each refresh gives the next token of the same session', async (t) => {
    const first = await anybody()
    const answer = await refresh(first.refresh_token)
    const { access_token, refresh_token } = answer.body
    isAnswer(t, answer, 200, { access_token, token_type: 'bearer', expires_in: 3600, refresh_token })
    t.equal(answer.headers['cache-control'], 'no-store', 'fault 19: no proxy and no browser keeps them')
    const second = signedInBy(first, answer)
    t.not(second.refresh_token, first.refresh_token)
    t.equal(second.session, first.session)
    await isIn(t, second, 'the new access token')
    await isIn(t, first, 'and the one before: a request that is under way succeeds')
    t.strictSame(await ids(second), await ids(first), 'no session more')

    const third = await refreshed(second)
    await isIn(t, third, 'the next one')
    t.match(await stored(third), { generation: 2 })
  })

  await t.test(
    'a refresh needs no access token, and an Authorization header sent with it is ignored',
    async (t) => {
      let of = await anybody()
      for (const authorization of ['Bearer nonsense', `Bearer ${admin.token}`, 'Basic x']) {
        const body = { refresh_token: of.refresh_token }
        const answer = await call('POST', '/login/refresh-token', { body, headers: { authorization } })
        t.match(answer, { status: 200 })
        of = signedInBy(of, answer)
        t.match(
          await me(of),
          { body: { id: of.id } },
          'it is the owner of the refresh token who is signed in',
        )
      }
    },
  )

  await t.test('fault 5: a used refresh token gives the same next one again for a minute', async (t) => {
    const first = await anybody()
    const lost = await refreshed(first)
    await longAgo(first, 50)
    const again = await refreshed(first)
    t.equal(again.refresh_token, lost.refresh_token, 'the same successor')
    t.match(await stored(first), { generation: 1 })
    const next = await refreshed(again)
    await isIn(t, next, 'and it goes on from there')
    t.strictSame([await notices(first), events('refresh_reuse', first)], [[], []])
  })

  await t.test(
    'a used refresh token gives the same next one again until the new access token is used',
    async (t) => {
      const first = await anybody()
      const lost = await refreshed(first)
      await longAgo(first, 3 * 86_400)
      await isIn(t, first, 'requests with the access token of before tell nothing of the newest')
      const again = await refreshed(first)
      t.equal(again.refresh_token, lost.refresh_token, 'the same successor, days later')
      t.equal((await refreshed(first)).refresh_token, lost.refresh_token, 'and once more')
      t.strictSame([await notices(first), events('refresh_reuse', first)], [[], []])
      await isSeen(again)
      refusesToken(t, await refresh(first.refresh_token), 'not once it was used')
      await isOut(t, again, 'which ends the session')
    },
  )

  await t.test(
    'tokens from before an upgrade are valid, and their reuse after a minute ends the session',
    async (t) => {
      const first = await anybody()
      const second = await refreshed(first)
      await rows(sql`update sessions set seen_generation = null where id = ${first.session}`)
      const old = app.jwt.sign({ sub: first.id, sid: first.session })
      t.equal((await me({ ...first, token: old })).status, 200, 'an access token without a generation')
      for (const gen of ['1', -1, 0.5, null])
        refusesToken(
          t,
          await me({ ...first, token: app.jwt.sign({ sub: first.id, sid: first.session, gen } as never) }),
        )
      t.equal((await refresh(first.refresh_token)).status, 200, 'within the minute')
      await longAgo(first, 61)
      refusesToken(t, await refresh(first.refresh_token))
      await isOut(t, second, 'ended')
    },
  )

  const stolen: Record<string, (first: Device, second: Device) => Promise<unknown>> = {
    'the one before, after more than a minute, where the newest access token was used': async (
      first,
      second,
    ) => {
      await isSeen(second)
      await longAgo(first, 61)
    },
    'an older one, at once': (_first, second) => refreshed(second),
    'a much older one': async (first, second) => {
      await refreshed(await refreshed(second))
      await longAgo(first, 3600)
    },
  }
  for (const [which, happens] of Object.entries(stolen)) {
    await t.test(`fault 5: a reused refresh token ends its session with a mail: ${which}`, async (t) => {
      const first = await anybody()
      const elsewhere = await device(first, 'another browser')
      const second = await refreshed(first)
      await happens(first, second)

      refusesToken(t, await refresh(first.refresh_token))
      await isOut(t, second, 'whoever has a copy')
      await isIn(t, elsewhere, 'the other sessions of the owner go on')
      const told = await notices(first)
      t.equal(told.length, 1, 'one mail')
      t.match(told, [{ recipient: first.email, params: { from: HERE, session_device: 'a browser' } }])
      const about = { outcome: 'failure', session_id: first.session, ip: HERE, msg: 'security event' }
      t.match(events('refresh_reuse', first), [about])
      refusesToken(t, await refresh(first.refresh_token), 'once more')
      t.equal((await notices(first)).length, 1, 'is no news')
      t.equal(events('refresh_reuse', first).length, 1)
    })
  }

  await t.test('fault 3: a forged refresh token is 401, ends no session and sends no mail', async (t) => {
    const [first, other] = [await anybody(), await anybody()]
    const of = await refreshed(first)
    const [id, generation, key, mac] = of.refresh_token.split('.') as [string, string, string, string]
    const reset = await resetToken(of.email)
    const sign = (purpose: string, text = `${id}.${generation}`, key = SECRET_KEY) =>
      signedIds(keyring({ SECRET_KEY: key }), purpose).sign(text)
    const forged: Record<string, string> = {
      empty: '',
      text: 'x',
      'dots alone': '..',
      'a session alone': id,
      'no mac': `${id}.${generation}.${key}`,
      'an empty mac': `${id}.${generation}.${key}.`,
      'a shorter mac': of.refresh_token.slice(0, -1),
      'a longer mac': `${of.refresh_token}A`,
      'the mac of another': `${id}.${generation}.${key}.${other.refresh_token.split('.')[3]}`,
      'the generation before': `${id}.0.${key}.${mac}`,
      'a generation to come': `${id}.2.${key}.${mac}`,
      'another session': `${other.session}.${generation}.${key}.${mac}`,
      'another key named': `${id}.${generation}.AAAAAAAA.${mac}`,
      'no key named': `${id}.${generation}.${mac}`,
      'in capitals': of.refresh_token.toUpperCase(),
      'with blanks': ` ${of.refresh_token} `,
      'an access token': of.token,
      'a recovery token': reset,
      'signed as a recovery token': sign('one-time-token/reset_password'),
      'signed as a verification': sign('one-time-token/verify_email'),
      'signed with another secret': sign('refresh-token', `${id}.${generation}`, `${SECRET_KEY}.`),
      'a session that nobody has': sign('refresh-token', `${randomUUID()}.0`),
      'of a later generation, as after a restored backup': sign('refresh-token', `${id}.9`),
      long: 'x'.repeat(30_000),
    }
    for (const [what, token] of Object.entries(forged)) refusesToken(t, await refresh(token), what)
    for (const body of [{ refresh_token: 5 }, { refresh_token: null }, { refresh_token: 'a\0' }, {}])
      isRefused(t, await call('POST', '/login/refresh-token', { body }), ['body.refresh_token'])
    isRefused(t, await call('POST', '/login/refresh-token'), ['body'])
    t.equal((await refresh(of.refresh_token)).status, 200, 'the right one still works')
    t.strictSame(await notices(of), [])
  })

  await t.test('fault 3: a refresh token is refused in place of any other kind of token', async (t) => {
    const of = await anybody()
    const bearer = { headers: { authorization: `Bearer ${of.refresh_token}` } }
    refusesToken(t, await call('GET', '/users/me', bearer))
    refusesToken(t, await call('GET', SESSIONS, bearer))
    const token = of.refresh_token
    isAnswer(t, await call('POST', '/verify-email/', { body: { token } }), 400, 'Invalid token')
    const reset = { token, new_password: NEW_PASSWORD }
    isAnswer(t, await call('POST', '/reset-password/', { body: reset }), 400, 'Invalid token')
  })

  await t.test('a session ends 7 days after its last refresh, and after 180 days in any case', async (t) => {
    const of = await anybody()
    const close = async (days: number) => {
      const left = (await stored(of))!.days_left
      t.ok(Math.abs(left - days) < 0.01, `${left} days left, and not ${days}`)
    }
    await close(7)
    await rows(sql`update sessions set expires_at = now() + interval '1 minute' where id = ${of.session}`)
    let next = await refreshed(of)
    await close(7)
    const aged = (interval: string) =>
      rows(
        sql.raw(`update sessions set created_at = now() - interval '${interval}' where id = '${of.session}'`),
      )
    await aged('178 days')
    next = await refreshed(next)
    await close(2)
    await aged('180 days 1 second')
    next = await refreshed(next)
    await isOut(t, next, 'after 180 days the password is asked for')
    t.strictSame(await notices(of), [], 'which is no theft')
  })

  await t.test('an expired session is 401, is not listed, and is deleted by the reaper', async (t) => {
    const of = await anybody()
    const other = await device(of)
    await rows(sql`update sessions set expires_at = now() where id = ${of.session}`)
    await isOut(t, of, 'expired')
    const shown = await ids(other)
    t.ok(shown.includes(other.session))
    t.notOk(shown.includes(of.session))
    await resetToken(of.email)
    await rows(
      sql`update one_time_tokens set expires_at = now() - interval '1 second' where user_id = ${of.id}`,
    )
    const mail = (recipient: string, sent: string) =>
      rows(
        sql.raw(`insert into emails (message, recipient, sent_at) values ('test', '${recipient}', ${sent})`),
      )
    await mail('old@example.com', "now() - interval '31 days'")
    await mail('new@example.com', "now() - interval '29 days'")
    await mail('due@example.com', 'null')

    await reaper(app.db, [])()
    t.equal(await stored(of), undefined)
    t.ok(await stored(other), 'and no other one')
    t.strictSame(await rows(sql`select id from one_time_tokens where user_id = ${of.id}`), [])
    const mails = sql`select recipient from emails where message = 'test' order by recipient`
    t.strictSame(await rows(mails), [{ recipient: 'due@example.com' }, { recipient: 'new@example.com' }])
    await rows(sql`delete from emails where message = 'test'`)
  })
  const causes: Record<string, (of: Device) => Promise<Answer>> = {
    deactivation: ({ id }) => call('PATCH', `/users/${id}`, { as: admin, body: { is_active: false } }),
    demotion: ({ id }) => call('PATCH', `/users/${id}`, { as: admin, body: { is_superuser: false } }),
    'a new password by an administrator': ({ id }) =>
      call('PATCH', `/users/${id}`, { as: admin, body: { password: NEW_PASSWORD } }),
    deletion: ({ id }) => call('DELETE', `/users/${id}`, { as: admin }),
    'a reset': async ({ email }) =>
      call('POST', '/reset-password/', {
        body: { token: await resetToken(email), new_password: NEW_PASSWORD },
      }),
  }
  for (const [cause, happens] of Object.entries(causes)) {
    await t.test(`fault 2: after ${cause} every refresh token of the user is 401`, async (t) => {
      const boss = await service.superuser()
      const devices = [await device(boss), await refreshed(await device(boss))]
      t.equal((await happens(devices[0]!)).status, 200)
      for (const of of devices) await isOut(t, of, cause)
      t.strictSame(await notices(boss), [], 'nobody stole anything')
    })
  }

  await t.test(
    'fault 2: refresh tokens of a user whom another program deactivated are 401 as well',
    async (t) => {
      const of = await anybody()
      await rows(sql`update users set is_active = false where id = ${of.id}`)
      await isOut(t, of, 'inactive')
    },
  )

  await t.test('a change of password ends every other session of the user, and keeps this one', async (t) => {
    const [here, there] = [await anybody(), await anybody()]
    const other = await device(here)
    const body = { current_password: here.password, new_password: NEW_PASSWORD }
    t.equal((await call('PATCH', '/users/me/password', { as: here, body })).status, 200)
    await isOut(t, other, 'the other device')
    await isIn(t, await refreshed(here), 'this one')
    await isIn(t, await refreshed(there), "somebody else's")
  })

  await t.test('a sign-out ends its session with all tokens of it, and no other session', async (t) => {
    const of = await anybody()
    const other = await device(of)
    const next = await refreshed(of)
    isAnswer(t, await call('POST', '/login/logout', { as: next }), 200, { message: 'Signed out' })
    for (const one of [of, next]) await isOut(t, one, 'signed out')
    refusesToken(t, await call('POST', '/login/logout', { as: next }), 'twice')
    await isIn(t, await refreshed(other), 'the other device')
    asksForToken(t, await call('POST', '/login/logout'))
  })

  await t.test('a user lists their own sessions, newest first, with device and IP address', async (t) => {
    const person = await service.person()
    await call('POST', '/login/logout', { as: person })
    const phone = await device(person, 'a phone', '198.51.100.2')
    const laptop = await device(person, `a laptop ${'x'.repeat(300)}`, '2001:db8::1')
    await anybody()
    const { status, body } = await call('GET', SESSIONS, { as: phone })
    t.equal(status, 200)
    const [first, second] = body.data
    const times = { created_at: /Z$/, last_used_at: /Z$/, expires_at: /Z$/ }
    t.match(first, { ...times, id: laptop.session, ip_address: '2001:db8::1', is_current: false })
    t.equal(
      first.user_agent,
      `a laptop ${'x'.repeat(300)}`.slice(0, 255),
      'as much of it as is worth keeping',
    )
    const known = { id: phone.session, user_agent: 'a phone', ip_address: '198.51.100.2', is_current: true }
    t.match(second, { ...times, ...known })
    const fields = [
      'authenticated_at',
      'created_at',
      'expires_at',
      'id',
      'ip_address',
      'is_current',
      'last_used_at',
      'methods',
      'user_agent',
    ]
    t.strictSame(Object.keys(second).toSorted(), fields, 'nothing of the token')
    t.strictSame([body.count, body.data.length], [2, 2])
    asksForToken(t, await call('GET', SESSIONS))
    t.strictSame(
      (await list(await refreshed(laptop))).data[0].is_current,
      true,
      'still the same after a refresh',
    )
  })

  await t.test('a user can end each of their sessions; one of another user is 404', async (t) => {
    const [mine, another] = [await anybody(), await anybody()]
    const phone = await device(mine)
    const end = (id: string, as: Person = mine) => call('DELETE', `${SESSIONS}/${id}`, { as })
    const missing = 'Session not found'
    isAnswer(t, await end(another.session), 404, missing, "another's looks like none")
    isAnswer(t, await end(another.session, admin), 404, missing, 'for a superuser as well')
    isAnswer(t, await end(randomUUID()), 404, missing)
    isRefused(t, await end('1'), ['path.session_id'])
    await isIn(t, another, 'nothing has ended')
    isAnswer(t, await end(phone.session.toUpperCase()), 200, { message: 'Session ended' })
    await isOut(t, phone, 'ended')
    isAnswer(t, await end(phone.session), 404, missing, 'twice')
    await isIn(t, mine, 'the one that asked')
    t.equal((await end(mine.session)).status, 200, 'its own too, which signs out')
    await isOut(t, mine, 'signed out')
    asksForToken(t, await call('DELETE', `${SESSIONS}/${another.session}`))
  })

  await t.test('a user can end all their other sessions at once, and none of another user', async (t) => {
    const [mine, another] = [await anybody(), await anybody()]
    const others = [await device(mine), await refreshed(await device(mine))]
    isAnswer(t, await call('DELETE', SESSIONS, { as: mine }), 200, { message: 'Other sessions ended' })
    for (const other of others) await isOut(t, other, 'ended')
    t.match(await list(mine), { count: 1, data: [{ id: mine.session }] })
    await isIn(t, await refreshed(mine), 'this one goes on')
    await isIn(t, another, "somebody else's")
    t.equal((await call('DELETE', SESSIONS, { as: mine })).status, 200, 'also where there is none')
    asksForToken(t, await call('DELETE', SESSIONS))
  })

  await t.test('the last use of a session is written once a minute at most', async (t) => {
    const of = await anybody()
    await rows(sql`create table touches (id uuid)`)
    await rows(
      sql.raw(`
      create function note() returns trigger language plpgsql as
      $$ begin insert into touches values (new.id); return new; end $$`),
    )
    await rows(sql`create trigger note after update on sessions for each row execute function note()`)
    const touches = async () => (await rows(sql`select from touches where id = ${of.session}`)).length
    const used = async () => (await list(of)).data[0].last_used_at as string
    await used()
    await rows(sql`update sessions set last_used_at = now() - interval '50 seconds' where id = ${of.session}`)
    const before = await used()
    t.equal(await used(), before, 'it is right to the minute')
    await rows(sql`update sessions set last_used_at = now() - interval '61 seconds' where id = ${of.session}`)
    await Promise.all(Array.from({ length: 10 }, () => me(of)))
    await until(async () => (await touches()) >= 3)
    for (let asked = 0; asked < 5; asked++) await me(of)
    t.ok((await used()) > before)
    t.equal(await touches(), 3, 'two by this test, one by all those requests')
    await rows(sql`drop trigger note on sessions`)
  })

  await t.test('a request succeeds even if the last use of its session cannot be written', async (t) => {
    const [of, before] = [await anybody(), log.lines.length]
    await rows(
      sql.raw(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`),
    )
    const idle = sql`update sessions set last_used_at = now() - interval '2 minutes' where id = ${of.session}`
    await rows(idle)
    await rows(sql`create trigger refuse before update on sessions for each row execute function refuse()`)
    for (let asked = 0; asked < 3; asked++) t.equal((await me(of)).status, 200)
    await rows(sql`drop trigger refuse on sessions`)
    const level = (line: string) => (JSON.parse(line) as { level: number }).level
    t.strictSame(
      log.lines.slice(before).filter((line) => level(line) >= 50),
      [],
    )

    if (!onPostgres) return
    await app.db.transaction(async (other) => {
      await other.execute(idle)
      t.equal((await me(of)).status, 200, 'the answer does not wait for it')
    })
  })
})
