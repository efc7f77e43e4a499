import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { statements } from '../../src/database/statement.ts'
import { auditEvents } from '../../src/http/observe/events.ts'
import { isAnswer, isRefused } from '../support/answers.ts'
import { credential } from '../support/authenticator.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { browser, somebody } from '../support/provider-browser.ts'
import { type Person, type Service, address, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

interface Event {
  id: string
  at: string
  event: string
  outcome: string
  reason: string | null
  actor_id: string | null
  subject_id: string | null
  session_id: string | null
  ip: string | null
  request_id: string | null
  details: Record<string, unknown>
}

const WRONG = 'a wrong password'
const NEW_PASSWORD = 'another horse battery'

function readers({ call, admin }: Service) {
  const audit = (query: object = {}) =>
    call('GET', `/audit/?${new URLSearchParams({ ...query }).toString()}`, { as: admin })
  return {
    audit,
    /** Of one user, oldest first. */
    of: async ({ id }: { id: string }, query: object = {}) =>
      ((await audit({ user: id, ...query })).body.data as Event[]).toReversed(),
  }
}

void test('the audit', async (t) => {
  const provider = await startIdentityProvider(t)
  const service = await startService(t, { TRUST_PROXY: '127.0.0.1', ...provider.env })
  const { link, through, tokens } = browser(service, provider)
  cheapHashing(service)
  const { app, call, rows, admin, signIn, person, resetToken } = service
  const { audit, of } = readers(service)
  const named = (events: readonly Event[]) =>
    events.map(({ event, outcome, reason }) => (outcome === 'success' ? event : `${event}: ${reason}`))
  const tokenOf = async (purpose: 'verify_email' | 'undo_email_change', recipient: string) => {
    const [mail] = await rows<{ token_id: string }>(
      sql`select token_id from emails where recipient = ${recipient} and token_id is not null
          and message in ('verification', 'new_address', 'own_address_changed') order by created_at desc limit 1`,
    )
    return app.auth.oneTimeTokens.sign(purpose, mail!.token_id)
  }

  /** What each operation that writes accounts leaves behind, about whom. */
  const leaves: Record<
    string,
    (ada: Person) => Promise<{ ask: () => Promise<unknown>; events: string[]; about?: Person }>
  > = {
    'login-login_access_token': async (ada) => ({
      ask: () => signIn(ada.email, ada.password),
      events: ['sign_in'],
    }),
    'login-refresh_token': async (ada) => {
      const { body } = await signIn(ada.email, ada.password)
      const refresh = (refresh_token: string) =>
        call('POST', '/login/refresh-token', { body: { refresh_token } })
      const second = await refresh(body.refresh_token as string)
      await refresh(second.body.refresh_token as string)
      return {
        ask: () => refresh(body.refresh_token as string),
        events: ['refresh_reuse: old refresh token'],
      }
    },
    'login-reauthenticate': async (ada) => ({
      ask: () => call('POST', '/login/reauthenticate', { as: ada, body: { password: ada.password } }),
      events: ['reauthenticated'],
    }),
    'login-logout': async (ada) => ({
      ask: () => call('POST', '/login/logout', { as: ada }),
      events: ['sign_out'],
    }),
    'login-recover_password': async (ada) => ({
      ask: () => call('POST', `/password-recovery/${ada.email}`),
      events: ['recovery_requested'],
    }),
    'login-recover_password_html_content': async (ada) => ({
      ask: () => resetToken(ada.email),
      events: ['recovery_link_shown'],
    }),
    'login-reset_password': async (ada) => {
      const token = await resetToken(ada.email)
      const body = { token, new_password: NEW_PASSWORD }
      return { ask: () => call('POST', '/reset-password/', { body }), events: ['password_changed'] }
    },
    'login-verify_email': async (ada) => {
      await call('POST', '/verify-email/resend', { body: { email: ada.email } })
      const token = await tokenOf('verify_email', ada.email)
      return { ask: () => call('POST', '/verify-email/', { body: { token } }), events: ['address_verified'] }
    },
    'login-resend_verification': async (ada) => ({
      ask: () => call('POST', '/verify-email/resend', { body: { email: ada.email } }),
      events: ['verification_requested'],
    }),
    'login-undo_email_change': async (ada) => {
      await call('PATCH', '/users/me', { as: ada, body: { email: address() } })
      const token = await tokenOf('undo_email_change', ada.email)
      return {
        ask: () => call('POST', '/undo-email-change/', { body: { token } }),
        events: ['address_restored'],
      }
    },
    'users-update_user_me': async (ada) => ({
      ask: () => call('PATCH', '/users/me', { as: ada, body: { email: address(), full_name: 'Ada King' } }),
      events: ['profile_changed', 'address_changed'],
    }),
    'users-update_password_me': async (ada) => ({
      ask: () =>
        call('PATCH', '/users/me/password', {
          as: ada,
          body: { current_password: ada.password, new_password: NEW_PASSWORD },
        }),
      events: ['password_changed'],
    }),
    'users-delete_user_me': async (ada) => ({
      ask: () => call('DELETE', '/users/me', { as: ada }),
      events: ['user_deleted'],
    }),
    'users-delete_session_me': async (ada) => {
      const { body } = await call('GET', '/users/me/sessions', { as: ada })
      const { id } = (body.data as { id: string }[])[0]!
      return { ask: () => call('DELETE', `/users/me/sessions/${id}`, { as: ada }), events: ['session_ended'] }
    },
    'users-delete_sessions_me': async (ada) => ({
      ask: () => call('DELETE', '/users/me/sessions', { as: ada }),
      events: ['session_ended'],
    }),
    'users-update_user': async (ada) => ({
      ask: () => call('PATCH', `/users/${ada.id}`, { as: admin, body: { full_name: 'Ada King' } }),
      events: ['user_updated'],
    }),
    'users-delete_user': async (ada) => ({
      ask: () => call('DELETE', `/users/${ada.id}`, { as: admin }),
      events: ['user_deleted'],
    }),
  }
  const enrollment = async (as: Person) =>
    (await call('POST', '/users/me/factors/totp', { as, body: {} })).body as { id: string; secret: string }
  const verify = (as: Person, { id, secret }: { id: string; secret: string }) => {
    const body = { code: totpOf(secret) }
    return call('POST', `/users/me/factors/${id}/verify`, { as, body })
  }
  const apiKey = async (as: Person) => {
    const body = { name: 'A key', permissions: ['users:read'] }
    return (await call('POST', '/users/me/api-keys', { as, body })).body as { id: string }
  }
  const passkeyOptions = async (as: Person) =>
    (await call('POST', '/users/me/passkeys/options', { as })).body as {
      challenge: string
      user: { id: string }
    }
  const passkey = async (as: Person) => {
    const options = await passkeyOptions(as)
    const key = credential(options.user.id)
    const { body } = await call('POST', '/users/me/passkeys', { as, body: key.create(options) })
    return { id: body.id as string, key }
  }
  const ofFactors: typeof leaves = {
    'users-enroll_totp': async (ada) => ({ ask: () => enrollment(ada), events: ['factor_enrolled'] }),
    'users-verify_totp': async (ada) => {
      const factor = await enrollment(ada)
      return { ask: () => verify(ada, factor), events: ['factor_added'] }
    },
    'users-delete_factor': async (ada) => {
      const factor = await enrollment(ada)
      await verify(ada, factor)
      return {
        ask: () => call('DELETE', `/users/me/factors/${factor.id}`, { as: ada }),
        events: ['factor_removed'],
      }
    },
    'users-create_recovery_codes': async (ada) => {
      await verify(ada, await enrollment(ada))
      return {
        ask: () => call('POST', '/users/me/recovery-codes', { as: ada }),
        events: ['recovery_codes_made'],
      }
    },
    'users-reset_factors': async (ada) => ({
      ask: () => call('DELETE', `/users/${ada.id}/factors`, { as: admin }),
      events: ['factors_reset'],
    }),
    'users-create_api_key': async (ada) => ({ ask: () => apiKey(ada), events: ['api_key_created'] }),
    'users-delete_api_key': async (ada) => {
      const { id } = await apiKey(ada)
      return {
        ask: () => call('DELETE', `/users/me/api-keys/${id}`, { as: ada }),
        events: ['api_key_deleted'],
      }
    },
    'users-delete_user_api_key': async (ada) => {
      const { id } = await apiKey(ada)
      return {
        ask: () => call('DELETE', `/users/${ada.id}/api-keys/${id}`, { as: admin }),
        events: ['api_key_deleted'],
      }
    },
    'users-export_account': async (ada) => ({
      ask: () => call('POST', '/users/me/export', { as: ada }),
      events: ['account_exported'],
    }),
    'users-link_identity': async (ada) => ({ ask: () => link(ada, somebody()), events: ['identity_added'] }),
    'login-sign_in_with_provider': async (ada) => {
      const who = somebody()
      await link(ada, who)
      const { code } = await through(who)
      return { ask: () => tokens(code), events: ['sign_in'] }
    },
    'users-delete_user_identity': async (ada) => {
      await link(ada, somebody())
      const { body } = await call('GET', `/users/${ada.id}/identities`, { as: admin })
      const [{ id }] = body.data as [{ id: string }]
      return {
        ask: () => call('DELETE', `/users/${ada.id}/identities/${id}`, { as: admin }),
        events: ['identity_removed'],
      }
    },
    'users-delete_identity': async (ada) => {
      await link(ada, somebody())
      const { body } = await call('GET', '/users/me/identities', { as: ada })
      const [{ id }] = body.data as [{ id: string }]
      return {
        ask: () => call('DELETE', `/users/me/identities/${id}`, { as: ada }),
        events: ['identity_removed'],
      }
    },
    'users-create_passkey_options': async (ada) => ({ ask: () => passkeyOptions(ada), events: [] }),
    'users-create_passkey': async (ada) => {
      const body = credential(ada.id).create(await passkeyOptions(ada))
      return { ask: () => call('POST', '/users/me/passkeys', { as: ada, body }), events: ['passkey_added'] }
    },
    'users-update_passkey': async (ada) => {
      const { id } = await passkey(ada)
      const body = { name: 'Phone' }
      return { ask: () => call('PATCH', `/users/me/passkeys/${id}`, { as: ada, body }), events: [] }
    },
    'users-delete_passkey': async (ada) => {
      const { id } = await passkey(ada)
      return {
        ask: () => call('DELETE', `/users/me/passkeys/${id}`, { as: ada }),
        events: ['passkey_removed'],
      }
    },
    'users-delete_user_passkey': async (ada) => {
      const { id } = await passkey(ada)
      return {
        ask: () => call('DELETE', `/users/${ada.id}/passkeys/${id}`, { as: admin }),
        events: ['passkey_removed'],
      }
    },
    'login-passkey_options': async () => ({
      ask: () => call('POST', '/login/passkey/options'),
      events: [],
    }),
    'login-passkey': async (ada) => {
      const { key } = await passkey(ada)
      const body = key.get((await call('POST', '/login/passkey/options')).body as { challenge: string })
      return { ask: () => call('POST', '/login/passkey', { body }), events: ['sign_in'] }
    },
    'login-second_factor': async (ada) => {
      const { body } = await verify(ada, await enrollment(ada))
      const [code] = body.recovery_codes as string[]
      return {
        ask: async () => {
          const { challenge } = (await signIn(ada.email, ada.password)).body as { challenge: string }
          return call('POST', '/login/second-factor', { body: { challenge, code } })
        },
        events: ['second_factor_asked', 'sign_in'],
      }
    },
  }
  Object.assign(leaves, ofFactors)
  /** Those that make the account themselves: it is known afterwards. */
  const makes: Record<string, [() => Promise<{ body: { id: string } }>, string]> = {
    'users-register_user': [
      () => call('POST', '/users/signup', { body: { email: address(), password: NEW_PASSWORD } }),
      'user_registered',
    ],
    'users-create_user': [
      () => call('POST', '/users/', { as: admin, body: { email: address(), password: NEW_PASSWORD } }),
      'user_created',
    ],
    'private-create_user': [
      () =>
        call('POST', '/private/users/', {
          body: { email: address(), password: NEW_PASSWORD, full_name: 'Ada' },
        }),
      'user_created',
    ],
  }
  /** Writes nothing. */
  const reads = ['login-test_token']

  await t.test(
    'each operation that writes accounts leaves its events, and there is no other such operation',
    async (t) => {
      const writing = operationsOf(documentOf(app))
        .filter(({ method, operation: { tags } }) => method !== 'GET' && /login|users|private/.test(tags[0]!))
        .map(({ operation }) => operation.operationId)
      t.strictSame([...Object.keys(leaves), ...Object.keys(makes), ...reads].toSorted(), writing.toSorted())
      for (const [operation, prepare] of Object.entries(leaves)) {
        const ada = await person()
        const { ask, events } = await prepare(ada)
        const before = await of(ada)
        await ask()
        const after = (await of(ada)).slice(before.length)
        t.strictSame(named(after).toSorted(), events.toSorted(), operation)
        for (const { subject_id, ip, request_id } of after)
          t.match({ subject_id, ip, request_id }, { subject_id: ada.id, ip: '127.0.0.1', request_id: /./ })
      }
      for (const [operation, [make, event]] of Object.entries(makes)) {
        const { body } = await make()
        t.strictSame(named(await of(body)), [event], operation)
      }
    },
  )

  await t.test('a failure says why, and who it was aimed at', async (t) => {
    const ada = await person()
    const before = (await of(ada)).length
    await signIn(ada.email, WRONG)
    await call('POST', '/login/reauthenticate', { as: ada, body: { password: WRONG } })
    const change = { current_password: WRONG, new_password: NEW_PASSWORD }
    await call('PATCH', '/users/me/password', { as: ada, body: change })
    const events = (await of(ada)).slice(before)
    t.strictSame(named(events), [
      'sign_in: password',
      'reauthenticated: password',
      'password_changed: password',
    ])
    t.strictSame(
      events.map(({ actor_id }) => actor_id),
      [null, ada.id, ada.id],
    )
  })

  await t.test('it says who did it, in which session, and which fields changed, but no value', async (t) => {
    const ada = await person({ full_name: 'Lovelace' })
    const moved = address()
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    await call('PATCH', `/users/${ada.id}`, { as: admin, headers, body: { email: moved, full_name: 'King' } })
    const { body: list, text } = await audit({ user: ada.id, event: 'user_updated' })
    t.match(list.data, [
      {
        actor_id: admin.id,
        subject_id: ada.id,
        session_id: /./,
        ip: '203.0.113.7',
        details: { changed: ['email', 'full_name'] },
      },
    ])
    t.notMatch(text, new RegExp(`${moved}|${ada.email}|King|Lovelace`))
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: {} })
    t.equal((await of(ada, { event: 'user_updated' })).length, 1, 'of nothing there is no row')
    const [signedIn] = await of(ada, { event: 'sign_in' })
    t.match(signedIn, { actor_id: ada.id, details: { methods: ['pwd'] } })
  })

  await t.test('ids stay when the account is deleted', async (t) => {
    const ada = await person()
    await call('DELETE', '/users/me', { as: ada })
    t.equal((await of(ada)).at(-1)?.event, 'user_deleted')
  })

  await t.test(
    'users read what was done to their own account, and not from where a superuser did it',
    async (t) => {
      const [ada, bob] = [await person(), await person()]
      await signIn(bob.email, WRONG)
      await call('PATCH', `/users/${ada.id}`, { as: admin, body: { full_name: 'Ada King' } })
      const { body } = await call('GET', '/users/me/activity', { as: ada })
      t.match(body.data, [
        { event: 'user_updated', actor_id: admin.id, ip: null, session_id: null, request_id: null },
        { event: 'sign_in', actor_id: ada.id, ip: '127.0.0.1' },
        { event: 'user_created' },
      ])
      t.equal(body.next_cursor, null)
      isAnswer(t, await call('GET', '/audit/', { as: ada }), 403, "The user doesn't have enough privileges")
    },
  )

  await t.test('pages neither repeat nor lose a row; filters and search go with the cursor', async (t) => {
    const ada = await person()
    for (let round = 0; round < 6; round++) {
      await signIn(ada.email, ada.password)
      await signIn(ada.email, WRONG)
    }
    const all = (await audit({ user: ada.id })).body.data as Event[]
    t.equal(all.length, 14)
    const pagesOf = async (query: object) => {
      const found: string[] = []
      for (let cursor: string | null | undefined; cursor !== null;) {
        const { body } = await audit({ ...query, limit: '3', ...(cursor && { cursor }) })
        found.push(...(body.data as Event[]).map(({ id }) => id))
        cursor = body.next_cursor as string | null
      }
      return found
    }
    const idsOf = (events: readonly Event[]) => events.map(({ id }) => id)
    t.strictSame(await pagesOf({ user: ada.id }), idsOf(all))
    const failed = all.filter(({ outcome }) => outcome === 'failure')
    t.strictSame(await pagesOf({ user: ada.id, q: 'PASSWORD' }), idsOf(failed))
    const [from, to] = [all[9]!.at, all[3]!.at]
    const between = all.filter(({ at }) => at >= from && at < to)
    t.strictSame(await pagesOf({ user: ada.id, from, to, event: 'sign_in' }), idsOf(between))
    for (const from of [
      '1769-07-22T01:31:01+20:50',
      '0001-01-01T00:00:00+23:59',
      '9999-12-31T23:59:59-23:59',
    ])
      t.equal((await audit({ user: ada.id, from })).status, 200, from)
    const { body } = await audit({ user: ada.id, limit: '3' })
    isRefused(t, await audit({ user: admin.id, cursor: body.next_cursor as string }), ['query.cursor'])
    for (const query of [
      { event: 'nothing' },
      { user: 'ada' },
      { from: 'yesterday' },
      { limit: '0' },
      { cursor: 'x' },
    ])
      isRefused(t, await audit(query), [`query.${Object.keys(query)[0]}`])
  })

  await t.test('a search ends where it has looked at many rows, and goes on from there', async (t) => {
    const ada = await person()
    await rows(sql`insert into audit_events (event, subject_id, created_at)
      select 'sign_in', ${ada.id}, now() - n * interval '1 second' from generate_series(1, 25000) n`)
    await rows(sql`insert into audit_events (event, subject_id, created_at, ip)
      values ('sign_in', ${ada.id}, now() - interval '1 day', '198.51.100.77')`)
    const first = await audit({ user: ada.id, q: '198.51.100.77' })
    t.strictSame(first.body.data, [])
    t.ok(first.body.next_cursor)
    const second = await audit({ user: ada.id, q: '198.51.100.77', cursor: first.body.next_cursor as string })
    t.equal(second.body.data.length, 1)
    t.equal(second.body.next_cursor, null)
  })

  await t.test('rows are deleted when they are older than AUDIT_RETENTION_DAYS', async (t) => {
    const ada = await person()
    await rows(
      sql`update audit_events set created_at = now() - interval '29 days' where subject_id = ${ada.id}`,
    )
    await reaper(app.db, [], 30)()
    t.not((await of(ada)).length, 0)
    await reaper(app.db, [], 28)()
    t.equal((await of(ada)).length, 0)
  })
})

void test('each event is written by a statement, and each statement writes one that is listed', async (t) => {
  // Each setting has statements of its own.
  for (const EMAIL_CHANGE of ['immediate', 'confirmed']) await startService(t, { EMAIL_CHANGE })
  const written = [...statements.values()].flatMap(({ text }) =>
    [...text.matchAll(/insert into "audit_events" \([^)]*\)\s+select '(\w+)', '(?:success|failure)'/g)].map(
      ([, event]) => event!,
    ),
  )
  t.strictSame([...new Set(written)].toSorted(), [...auditEvents].toSorted())
})

void test('strangers fill the audit no further than limits let them through', async (t) => {
  const service = await startService(t, { RATE_LIMIT_ENABLED: 'true' })
  cheapHashing(service)
  const { signIn, person } = service
  const { of } = readers(service)
  const ada = await person()
  for (let guess = 0; guess < 40; guess++) await signIn(ada.email, WRONG, '203.0.113.9')
  const failed = (await of(ada)).filter(({ outcome }) => outcome === 'failure')
  t.equal(failed.length, 10)
})
