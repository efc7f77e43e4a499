import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { collectingLogger } from '../support/log-lines.ts'
import { address, startService } from '../support/service.ts'

interface Line {
  msg: string
  event?: string
  actor_id?: string
  session_id?: string
  unlogged?: number
  res?: object
  reqId?: string
}

void test('security events', async (t) => {
  const log = await collectingLogger()
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'true' }, { logger: log.logger })
  const { call, admin } = service
  const [ada, eve] = [await service.person(), await service.person()]
  /** The log lines written while `work` runs. */
  async function told(work: () => Promise<unknown>): Promise<Line[]> {
    const from = log.lines.length
    await work()
    return log.lines.slice(from).map((line) => JSON.parse(line) as Line)
  }
  const eventsOf = async (work: () => Promise<unknown>) =>
    (await told(work)).filter(({ event }) => event !== undefined)

  await t.test(
    'a change by a superuser is logged with the names of changed fields, never their values',
    async (t) => {
      const body = { email: ada.email, full_name: 'Ada King', is_active: true, is_superuser: false }
      const patch = (more: object) => () =>
        call('PATCH', `/users/${ada.id}`, { as: admin, body: { ...body, ...more } })
      const updated = { event: 'user_updated', outcome: 'success', actor_id: admin.id, user_id: ada.id }
      t.match(
        await eventsOf(patch({})),
        [{ ...updated, changed: ['full_name'] }],
        'the rest was sent and is the same',
      )
      t.match(await eventsOf(patch({})), [{ ...updated, changed: [] }])
      const moved = address()
      const all = {
        email: moved,
        full_name: null,
        is_active: false,
        is_superuser: true,
        password: 'another good password',
      }
      const [event] = await eventsOf(patch(all))
      t.match(event, { ...updated, changed: ['email', 'full_name', 'is_active', 'is_superuser', 'password'] })
      t.notMatch(JSON.stringify(event), new RegExp(`${moved}|another|King`))
      await call('PATCH', `/users/${ada.id}`, { as: admin, body })
    },
  )

  await t.test('a superuser who views a recovery link is logged, and its owner is mailed once', async (t) => {
    const look = () => call('POST', `/password-recovery-html-content/${eve.email}`, { as: admin })
    t.match(await eventsOf(look), [
      { event: 'recovery_link_shown', outcome: 'success', actor_id: admin.id, user_id: eve.id },
    ])
    for (let count = 0; count < 5; count++) await look()
    const mails = await service.rows<{ recipient: string }>(
      sql`select recipient from emails where message = 'recovery_link_shown'`,
    )
    t.strictSame(mails, [{ recipient: eve.email }], 'once, as others can have it sent')
    const nobody = () => call('POST', `/password-recovery-html-content/${address()}`, { as: admin })
    t.strictSame(await eventsOf(nobody), [], 'there is nothing to tell of')
  })

  await t.test(
    'what the audit has is logged and counted, too: a name, a wish for a link, an account',
    async (t) => {
      const rename = () => call('PATCH', '/users/me', { as: eve, body: { full_name: 'Eve King' } })
      t.match(await eventsOf(rename), [
        { event: 'profile_changed', actor_id: eve.id, changed: ['full_name'] },
      ])
      t.strictSame(await eventsOf(rename), [], 'it is the same')
      const resend = () => call('POST', '/verify-email/resend', { body: { email: eve.email } })
      t.match(await eventsOf(resend), [{ event: 'verification_requested' }])
      const body = { email: address(), password: 'a good password', full_name: 'Bob' }
      t.match(await eventsOf(() => call('POST', '/private/users/', { body })), [{ event: 'user_created' }])
    },
  )

  await t.test('each refused token, link and access is logged with its reason or route', async (t) => {
    const refused = (work: () => Promise<unknown>, expected: object) =>
      eventsOf(work).then((lines) => t.match(lines, [{ outcome: 'failure', ...expected }]))
    const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
    const forged = `${eve.token.slice(0, -4)}AAAA`
    await refused(() => call('GET', '/users/me', bearer(forged)), {
      event: 'token_refused',
      reason: 'forged',
      route: '/api/v1/users/me',
    })
    const gone = await service.person()
    await call('POST', '/login/logout', { as: gone })
    await refused(() => call('GET', '/users/me', { as: gone }), { event: 'token_refused', reason: 'revoked' })
    await refused(() => call('POST', '/login/refresh-token', { body: { refresh_token: 'made.up.text' } }), {
      event: 'token_refused',
    })
    await refused(() => call('GET', '/users/', { as: eve }), {
      event: 'access_denied',
      actor_id: eve.id,
      reason: "The user doesn't have enough privileges",
    })
    const { body: paper } = await call('POST', '/papers/', { as: admin, body: { title: 'Mine' } })
    await refused(() => call('GET', `/papers/${paper.id}`, { as: eve }), {
      event: 'access_denied',
      actor_id: eve.id,
      reason: 'Not enough permissions',
    })
    for (const path of ['/reset-password/', '/verify-email/'])
      await refused(() => call('POST', path, { body: { token: 'x.y', new_password: 'a good password' } }), {
        event: 'link_refused',
        route: `/api/v1${path}`,
      })
    t.strictSame(await eventsOf(() => call('GET', '/users/me')), [], 'to send no token is no event')
  })

  await t.test('reaching a rate limit is logged with its name and the IP address', async (t) => {
    const guess = () => service.signIn(eve.email, 'a wrong password', '203.0.113.9')
    const lines = await eventsOf(async () => {
      for (let count = 0; count < 12; count++) await guess()
    })
    t.match(lines.at(-1), { event: 'limit_reached', reason: 'login', ip: '203.0.113.9' })
  })

  await t.test('the "request completed" line names the user and session of the request', async (t) => {
    const ended = async (work: () => Promise<unknown>) =>
      (await told(work)).find(({ msg }) => msg === 'request completed')
    t.match(await ended(() => call('GET', '/users/me', { as: eve })), {
      actor_id: eve.id,
      session_id: /^[\da-f-]{36}$/,
      res: { statusCode: 200 },
    })
    t.match(await ended(() => call('GET', '/users/', { as: eve })), {
      actor_id: eve.id,
      res: { statusCode: 403 },
    })
    const signedIn = await ended(() => service.signIn(eve.email, eve.password, '203.0.113.10'))
    t.match(signedIn, { actor_id: eve.id, session_id: /^[\da-f-]{36}$/ })
    const { body } = await service.signIn(eve.email, eve.password, '203.0.113.10')
    const refresh = () =>
      call('POST', '/login/refresh-token', { body: { refresh_token: body.refresh_token } })
    t.match(await ended(refresh), { actor_id: eve.id, session_id: /^[\da-f-]{36}$/ })
    t.notOk('actor_id' in ((await ended(() => call('GET', '/users/me'))) ?? {}), 'nobody knows')
  })

  await t.test('of a flood of refusals only some are logged, and the rest are counted', async (t) => {
    const flood = async (from: string, count: number) => {
      for (let each = 0; each < count; each++)
        await call('GET', '/users/me', { from, headers: { authorization: 'Bearer a.b.c' } })
    }
    const lines = await eventsOf(() => flood('198.51.100.1', 200))
    t.equal(lines.length, 10)
    const others = await eventsOf(() => flood('198.51.100.2', 1))
    t.equal(others.length, 1)
    const many = await eventsOf(async () => {
      for (let host = 1; host < 250; host++) await flood(`198.51.101.${host}`, 1)
    })
    t.ok(many.length < 100, `${many.length} lines about 249 networks`)
    const end = await told(() => service.close())
    const unlogged = end.filter((line) => line.unlogged !== undefined)
    t.match(unlogged, [{ event: 'token_refused', unlogged: 190 + 249 - many.length }], 'the rest is counted')
  })
})
