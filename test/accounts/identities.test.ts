import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { credential } from '../support/authenticator.ts'
import { rounds } from '../support/database.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { browser, somebody } from '../support/provider-browser.ts'
import { type Answer, type Person, type Service, address, startService } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

const ROUNDS = rounds(50, 3)
const REVOKED = 'Could not validate credentials'
const FRONTEND = 'http://localhost:5173'

const start = async (t: Test, env: Record<string, string> = {}) => {
  const provider = await startIdentityProvider(t)
  const service = await startService(t, { FRONTEND_HOST: FRONTEND, ...provider.env, ...env })
  return { provider, service, ...service, ...browser(service, provider) }
}

const countUsers = async ({ rows }: Service, email: string) =>
  (await rows(sql`select id from users where lower(email) = lower(${email})`)).length

void test('signing in with an identity provider', async (t) => {
  const { service, provider, call, rows, begin, back, end, through, tokens, signIn, person } = await start(t)

  await t.test('a client learns which providers there are, and where a browser goes', async (t) => {
    const { body } = await call('GET', '/login/providers')
    t.same(body, {
      data: [{ name: 'acme', url: 'http://localhost:8000/api/v1/login/oidc/acme' }],
    })
  })

  await t.test(
    'somebody new gets an account with a verified address, a session, and no password',
    async (t) => {
      const who = somebody()
      const answer = await signIn(who)
      t.equal(answer.status, 200, answer.text)
      const as = { authorization: `Bearer ${answer.body.access_token}` }
      const { body } = await call('GET', '/users/me', { headers: as })
      t.match(body, { email: who.email, full_name: 'Ada', is_verified: true, is_superuser: false })
      const sessions = await call('GET', '/users/me/sessions', { headers: as })
      t.same(sessions.body.data[0].methods, ['oidc'])
      isAnswer(t, await service.signIn(who.email!, ''), 400, 'Incorrect email or password')
    },
  )

  await t.test('an identity is known by issuer and subject, whatever its address is by now', async (t) => {
    const who = somebody()
    const first = await person(who)
    const again = await person({ ...who, email: address() })
    t.equal(again.id, first.id)
    t.equal(again.email, who.email)
    const other = await person(somebody({ email: address() }))
    t.not(other.id, first.id)
    t.equal(await countUsers(service, who.email!), 1)
  })

  await t.test(
    'a verified account is joined by an identity with its verified address, and is told',
    async (t) => {
      const { email, id } = await service.person({ is_verified: true })
      t.equal((await person(somebody({ email: email.toUpperCase() }))).id, id)
      const mails = await rows(sql`select message, params from emails where recipient = ${email}`)
      t.match(mails, [{ message: 'way_in_changed', params: { what: 'identity_added' } }])
      const events = await rows(
        sql`select event from audit_events where subject_id = ${id} order by created_at`,
      )
      t.match(events.at(-2), { event: 'identity_added' })
    },
  )

  await t.test(
    'CVE-2026-44166, GHSA-g38m-r43w-p2q7: an account that never verified its address is not joined',
    async (t) => {
      const { email, id } = await service.person()
      t.same(await through(somebody({ email })), { error: 'account_exists' })
      t.same(await rows(sql`select id from identities where user_id = ${id}`), [])
    },
  )

  await t.test(
    'CVE-2024-38351: an address counts where the provider says true, and nothing like it',
    async (t) => {
      const { email, id } = await service.person({ is_verified: true })
      for (const email_verified of [undefined, false, 'true', 1, null])
        t.same(
          await through(somebody({ email, email_verified })),
          { error: 'provider_email_not_verified' },
          `email_verified ${JSON.stringify(email_verified)}`,
        )
      t.same(await rows(sql`select id from identities where user_id = ${id}`), [])
    },
  )

  await t.test('without an address there is no account to make, and none is', async (t) => {
    const { sub } = somebody()
    t.same(await through({ sub }), { error: 'provider_email_not_verified' })
    t.same(await through(somebody({ email: 'no address' })), { error: 'provider_email_not_verified' })
  })

  await t.test('a deactivated user does not get in', async (t) => {
    const who = somebody()
    const { id } = await person(who)
    await call('PATCH', `/users/${id}`, { as: service.admin, body: { is_active: false } })
    t.same(await through(who), { error: 'inactive_user' })
    const { email } = await service.person({ is_verified: true })
    await rows(sql`update users set is_active = false where email = ${email}`)
    t.same(await through(somebody({ email })), { error: 'inactive_user' })
  })

  await t.test('whoever says no at the provider is led back, and signed in nowhere', async (t) => {
    t.same(await through(null), { error: 'provider_refused' })
  })

  await t.test('a code is good once, for a minute, and not once the password was changed', async (t) => {
    const who = somebody()
    const { code } = await through(who)
    t.equal((await tokens(code)).status, 200)
    isAnswer(t, await tokens(code), 400, 'Invalid token', 'a second time')
    const late = await through(who)
    await rows(sql`update oidc_codes set expires_at = now()`)
    isAnswer(t, await tokens(late.code), 400, 'Invalid token', 'expired')
    const old = await through(who)
    await rows(sql`update users set credentials_version = credentials_version + 1 where email = ${who.email}`)
    isAnswer(t, await tokens(old.code), 400, 'Invalid token', 'of before a change')
    for (const forged of ['', 'a.b', `${crypto.randomUUID()}.x`])
      isAnswer(t, await tokens(forged), 400, 'Invalid token', 'forged')
  })

  await t.test(
    "a frontend that keeps a verifier takes no code that somebody else's browser got",
    async (t) => {
      const [verifier, other] = ['v'.repeat(43), 'w'.repeat(43)]
      const challenge = createHash('sha256').update(verifier).digest('base64url')
      const begun = () => through(somebody(), `/login/oidc/acme?code_challenge=${challenge}`)
      const { code } = await begun()
      isAnswer(t, await tokens(code, other), 400, 'Invalid token', 'of another tab')
      isAnswer(t, await tokens(code), 400, 'Invalid token', 'without one')
      t.equal((await tokens(code, verifier)).status, 200, 'none of them used it up')
      const plain = await through(somebody())
      isAnswer(t, await tokens(plain.code, verifier), 400, 'Invalid token', 'got without a challenge')
      t.equal((await call('GET', '/login/oidc/acme?code_challenge=short')).status, 422)
    },
  )

  await t.test(
    'GHSA-x445-f3h2-j279, CVE-2025-46815: a way back is good in the browser that went, once, at its provider',
    async (t) => {
      provider.somebody = somebody()
      const { url, cookie } = await begin()
      const callback = await provider.visit(url)
      const other = await begin()
      const isUseless = async (text: string, answer: Promise<Answer>) =>
        t.same(end(await answer), { error: 'invalid_token' }, text)
      await isUseless('no cookie', back(callback, ''))
      await isUseless("another way's cookie", back(callback, other.cookie))
      const [name] = cookie.split('=')
      await isUseless('another value', back(callback, `${name}=${'x'.repeat(43)}`))
      await isUseless('another provider', back(callback.replace('/acme/', '/other/'), cookie))
      const forged = callback.replace(/state=[^&]+/, `state=${crypto.randomUUID()}.x`)
      await isUseless('a forged state', back(forged, cookie))
      t.ok('code' in end(await back(callback, cookie)), 'none of them used it up')
      await isUseless('a second time', back(callback, cookie))
      const late = await begin()
      const late_callback = await provider.visit(late.url)
      await rows(sql`update oidc_states set expires_at = now()`)
      await isUseless('after ten minutes', back(late_callback, late.cookie))
    },
  )

  await t.test('the cookie is for the callback alone, and no script reads it', async (t) => {
    const { headers } = await call('GET', '/login/oidc/acme')
    t.match(
      String(headers['set-cookie']),
      /^oidc_[\da-f]{32}=[\w-]{43}; Max-Age=600; Path=\/api\/v1\/login\/oidc\/acme\/callback; HttpOnly; SameSite=Lax$/,
    )
    const asked = new URL(String(headers.location)).searchParams
    t.match(asked.get('code_challenge'), /^[\w-]{43}$/)
    t.equal(asked.get('code_challenge_method'), 'S256')
    t.match(asked.get('nonce'), /^[\w-]{43}$/)
  })

  await t.test('two tabs at once each come back', async (t) => {
    provider.somebody = somebody()
    const [one, two] = [await begin(), await begin()]
    const cookies = `${one.cookie}; ${two.cookie}`
    t.ok('code' in end(await back(await provider.visit(one.url), cookies)))
    t.ok('code' in end(await back(await provider.visit(two.url), cookies)))
  })

  await t.test('whoever signed in is led to a place of the frontend, and nowhere else', async (t) => {
    const to = (url: string) => call('GET', `/login/oidc/acme?return_to=${encodeURIComponent(url)}`)
    for (const url of [
      'https://evil.example',
      `${FRONTEND}.evil.example/`,
      'http://localhost:5174/',
      'https://localhost:5173/',
      `http://ada@localhost:5173/`,
      '//localhost:5173/',
      '/items',
      'javascript:alert(1)',
      `${FRONTEND}\\@evil.example`.replace('5173', '5173x'),
    ])
      t.equal((await to(url)).status, 422, url)
    provider.somebody = somebody()
    const { url, cookie } = await begin(
      `/login/oidc/acme?return_to=${encodeURIComponent(`${FRONTEND}/welcome?plan=free#top`)}`,
    )
    const { headers } = await back(await provider.visit(url), cookie)
    t.match(String(headers.location), /^http:\/\/localhost:5173\/welcome\?plan=free&code=[\w.-]+#top$/)
    const forged = `${FRONTEND}/?code=of-a-thief&linked=acme&error=x`
    t.same(await through(null, `/login/oidc/acme?return_to=${encodeURIComponent(forged)}`), {
      error: 'provider_refused',
    })
  })

  await t.test('a provider that is not set up is 404', async (t) => {
    for (const name of ['other', '__proto__', 'constructor'])
      isAnswer(t, await call('GET', `/login/oidc/${name}`), 404, 'Provider not found')
  })

  await t.test('whoever has a second factor shows it, however they signed in', async (t) => {
    const who = somebody()
    const as = await person(who)
    const { body } = await call('POST', '/users/me/factors/totp', { as, body: {} })
    await call('POST', `/users/me/factors/${body.id}/verify`, { as, body: { code: totpOf(body.secret) } })
    const before = await rows(sql`select id from sessions where user_id = ${as.id}`)
    const answer = await signIn(who)
    t.match(answer, { status: 400, body: { code: 'second_factor_required', challenge: /./ } })
    t.equal((await rows(sql`select id from sessions where user_id = ${as.id}`)).length, before.length)
    await rows(sql`update factors set last_step = null`)
    const shown = await call('POST', '/login/second-factor', {
      body: { challenge: answer.body.challenge, code: totpOf(body.secret) },
    })
    t.equal(shown.status, 200)
    const sessions = await call('GET', '/users/me/sessions', {
      headers: { authorization: `Bearer ${shown.body.access_token}` },
    })
    t.same(sessions.body.data[0].methods, ['oidc', 'otp'])
  })
})

/** Changes the claims of the ID token that the provider answers with; the signature stays that of what it signed. */
const altered =
  (change: (token: { header: object; claims: Record<string, unknown> }) => void) =>
  (context: { path: string; body: unknown }) => {
    const answer = context.body as { id_token?: string } | undefined
    if (context.path !== '/token' || answer?.id_token === undefined) return
    const [header, claims, signature] = answer.id_token.split('.')
    const read = (part = '') =>
      JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
    const token = { header: read(header), claims: read(claims) }
    change(token)
    const write = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    answer.id_token = `${write(token.header)}.${write(token.claims)}.${signature}`
  }

void test('a provider that is broken or hostile', async (t) => {
  const { service, provider, call, rows, begin, back, end, through } = await start(t)
  t.afterEach(() => void (provider.tamper = () => undefined))

  const hostile: Record<string, Parameters<typeof altered>[0]> = {
    'another subject, under a signature of the first': ({ claims }) => void (claims.sub = 'root'),
    'no signature (alg none)': ({ header }) => void Object.assign(header, { alg: 'none' }),
    'CVE-2026-31813: another issuer': ({ claims }) => void (claims.iss = 'https://evil.example'),
    'for another client': ({ claims }) => void (claims.aud = 'another'),
    'another nonce': ({ claims }) => void (claims.nonce = 'x'.repeat(43)),
    expired: ({ claims }) => void (claims.exp = 1),
  }
  for (const [what, change] of Object.entries(hostile))
    await t.test(`an ID token is refused: ${what}`, async (t) => {
      provider.tamper = altered(change)
      const who = somebody()
      t.same(await through(who), { error: 'provider_refused' })
      t.equal(await countUsers(service, who.email!), 0)
    })

  await t.test('an answer without an ID token, and userinfo of somebody else, are refused', async (t) => {
    provider.tamper = ({ path, body }) => {
      if (path === '/token') delete (body as { id_token?: string }).id_token
    }
    t.same(await through(somebody()), { error: 'provider_refused' })
    provider.tamper = ({ path, body }) => {
      if (path === '/me') Object.assign(body as object, { sub: 'root' })
    }
    t.same(await through(somebody()), { error: 'provider_refused' })
  })

  await t.test('a refusal is in the audit, with a reason and no token', async (t) => {
    provider.tamper = altered(({ claims }) => void (claims.nonce = 'x'))
    await through(somebody())
    const [event] = await rows<{ reason: string }>(
      sql`select event, outcome, reason from audit_events where outcome = 'failure' order by created_at desc limit 1`,
    )
    t.match(event, { event: 'sign_in', reason: /^\w{1,64}$/ })
  })

  await t.test(
    'a provider that answers 500 is led back as away, and the next try goes through',
    async (t) => {
      provider.tamper = (context) => {
        if (context.path === '/token') context.status = 500
      }
      t.same(await through(somebody()), { error: 'provider_unavailable' })
      provider.tamper = () => undefined
      t.ok('code' in (await through(somebody())))
    },
  )

  await t.test('values that PostgreSQL does not keep are refused or left out', async (t) => {
    const who = somebody({ name: `A\u0000${'d'.repeat(300)}` })
    t.ok('code' in (await through(who)))
    const [user] = await rows<{ full_name: string }>(
      sql`select full_name from users where email = ${who.email}`,
    )
    t.equal(user?.full_name, `A${'d'.repeat(254)}`)
    t.ok('code' in (await through(somebody({ sub: 'x'.repeat(255) }))))
  })

  await t.test('one that never answered is 503 for itself alone, and is asked again', async (t) => {
    const away = await startIdentityProvider(t)
    const other = await startService(t, {
      ...provider.env,
      OIDC_AWAY_ISSUER: away.issuer,
      OIDC_AWAY_CLIENT_ID: 'x',
    })
    await away.close()
    const started = Date.now()
    isAnswer(t, await other.call('GET', '/login/oidc/away'), 503, 'Provider unavailable')
    t.ok(Date.now() - started < 5_000, 'in bounded time')
    t.equal((await other.call('GET', '/login/oidc/acme')).status, 302)
  })

  await t.test('of many who go to one that is away, each is told the same', async (t) => {
    const away = await startIdentityProvider(t)
    const other = await startService(t, { OIDC_AWAY_ISSUER: away.issuer, OIDC_AWAY_CLIENT_ID: 'x' })
    await away.close()
    const answers = await Promise.all(Array.from({ length: 5 }, () => other.call('GET', '/login/oidc/away')))
    for (const answer of answers) isAnswer(t, answer, 503, 'Provider unavailable')
  })

  await t.test('endpoints are asked for once', async (t) => {
    let asked = 0
    const other = await startIdentityProvider(t)
    other.tamper = ({ path }) => void (asked += Number(path.endsWith('openid-configuration')))
    const { call } = await startService(t, other.env)
    await Promise.all([call('GET', '/login/oidc/acme'), call('GET', '/login/oidc/acme')])
    await call('GET', '/login/oidc/acme')
    t.equal(asked, 1)
  })

  await t.test(
    'whether an address is verified is not taken from another source than the address',
    async (t) => {
      const who = somebody({ email_verified: false })
      provider.tamper = altered(({ claims }) => void (claims.email_verified = true))
      t.same(await through(who), { error: 'provider_refused' }, 'altered, so the signature is wrong')
      const told = await startIdentityProvider(t, {
        claims: { openid: ['sub', 'email_verified'], email: ['email'], profile: ['name'] },
      })
      let claimed: object = {}
      told.tamper = ({ path, body }) => {
        const { id_token } = (body ?? {}) as { id_token?: string }
        if (path === '/me') Object.assign(body as object, { email_verified: false })
        if (path === '/token')
          claimed = JSON.parse(Buffer.from(id_token!.split('.')[1]!, 'base64url').toString()) as object
      }
      const at = browser(await startService(t, { FRONTEND_HOST: FRONTEND, ...told.env }), told)
      t.same(await at.through(somebody()), { error: 'provider_email_not_verified' })
      t.comment(JSON.stringify(claimed))
      t.match(claimed, { email_verified: true, email: undefined })
    },
  )

  await t.test('one that calls itself by another name than it was asked by is not used', async (t) => {
    provider.tamper = ({ path, body }) => {
      if (path.endsWith('openid-configuration'))
        Object.assign(body as object, { issuer: 'https://evil.example' })
    }
    const other = await startService(t, provider.env)
    isAnswer(t, await other.call('GET', '/login/oidc/acme'), 503, 'Provider unavailable')
  })

  await t.test('the code of one provider is of no use at another (mix-up)', async (t) => {
    const second = await startIdentityProvider(t, {
      callback: 'http://localhost:8000/api/v1/login/oidc/second/callback',
    })
    const both = await startService(t, {
      ...provider.env,
      OIDC_SECOND_ISSUER: second.issuer,
      OIDC_SECOND_CLIENT_ID: 'groundwork',
      OIDC_SECOND_CLIENT_SECRET: 'a secret of the provider',
    })
    const at = browser(both, second)
    second.somebody = somebody()
    const { url, cookie } = await at.begin('/login/oidc/second')
    const callback = await second.visit(url)
    t.same(at.end(await at.back(callback.replace('/second/', '/acme/'), cookie)), { error: 'invalid_token' })
    const swapped = new URL(callback)
    swapped.searchParams.set('iss', provider.issuer)
    t.same(at.end(await at.back(swapped.href, cookie)), { error: 'provider_refused' })
  })

  await t.test('a callback is no place to write from, however it is called', async (t) => {
    for (const query of [
      '',
      '?',
      '?state',
      `?state=${'x'.repeat(5000)}`,
      '?code=x&state=a&state=b',
      '?error=%00',
    ])
      t.same(end(await back(`http://localhost/api/v1/login/oidc/acme/callback${query}`, 'oidc_=x; oidc_=')), {
        error: 'invalid_token',
      })
    provider.somebody = somebody()
    const { url, cookie } = await begin()
    const callback = await provider.visit(url)
    t.same(end(await back(`${callback}&code=another`, cookie)), { error: 'provider_refused' })
    t.equal((await call('GET', '/login/providers')).status, 200)
  })
})

void test('identities of an account', async (t) => {
  const { service, provider, call, rows, back, end, link, person, signIn, through } = await start(t)
  const list = async (as: Person) => (await call('GET', '/users/me/identities', { as })).body.data
  const remove = (as: Person, id: string) => call('DELETE', `/users/me/identities/${id}`, { as })

  await t.test('one is linked while signed in, whatever its address, listed, and signs in', async (t) => {
    const as = await service.person()
    const who = somebody({ email_verified: false })
    t.same(await link(as, who), { linked: 'acme' })
    t.match(await list(as), [{ provider: 'acme', email: null, last_used_at: null }])
    t.equal((await person(who)).id, as.id)
    t.ok((await list(as))[0].last_used_at)
    t.same(await link(as, who), { linked: 'acme' }, 'again is no fault')
    t.equal((await list(as)).length, 1)
    const mails = await rows(
      sql`select params from emails where recipient = ${as.email} and message = 'way_in_changed'`,
    )
    t.match(mails, [{ params: { what: 'identity_added' } }], 'the owner is told once')
  })

  await t.test('one that belongs to another account is not taken from it', async (t) => {
    const who = somebody()
    const { id } = await person(who)
    const as = await service.person()
    t.same(await link(as, who), { error: 'identity_taken' })
    t.equal((await person(who)).id, id)
  })

  await t.test('who is led to a URL that another browser began with links nothing', async (t) => {
    const thief = await service.person()
    provider.somebody = somebody()
    const { body } = await call('POST', '/users/me/identities/acme', { as: thief })
    const callback = await provider.visit(body.url)
    t.same(end(await back(callback, '')), { error: 'invalid_token' })
    t.same(await list(thief), [])
  })

  await t.test('nothing is linked once the session ended', async (t) => {
    const { provider, back, end, cookieOf, ...other } = await start(t)
    const as = await other.person(somebody())
    provider.somebody = somebody()
    const answer = await other.call('POST', '/users/me/identities/acme', { as })
    const callback = await provider.visit(answer.body.url)
    await other.call('POST', '/login/logout', { as })
    t.same(end(await back(callback, cookieOf(answer))), { error: 'invalid_token' })
  })

  await t.test('linking and removing need a recent sign-in', async (t) => {
    const as = await service.person()
    await link(as, somebody())
    const [{ id }] = await list(as)
    await rows(
      sql`update sessions set authenticated_at = now() - interval '61 minutes' where user_id = ${as.id}`,
    )
    isAnswer(t, await call('POST', '/users/me/identities/acme', { as }), 403, 'Recent sign-in required')
    isAnswer(t, await remove(as, id), 403, 'Recent sign-in required')
  })

  await t.test('removing one ends other sessions, tells the owner, and it signs in no more', async (t) => {
    const as = await service.person({ is_verified: true })
    const who = somebody()
    await link(as, who)
    const other = await signIn(who)
    const [{ id }] = await list(as)
    isAnswer(t, await remove(as, id), 200, { message: 'Identity removed' })
    isAnswer(
      t,
      await call('GET', '/users/me', { headers: { authorization: `Bearer ${other.body.access_token}` } }),
      401,
      REVOKED,
    )
    t.same(await list(as), [])
    t.not((await person(who)).id, as.id, 'it makes an account of its own')
    isAnswer(t, await remove(as, id), 404, 'Identity not found')
  })

  await t.test(
    'one that was removed does not join again by itself, and does once it is linked',
    async (t) => {
      const as = await service.person({ is_verified: true })
      const who = somebody({ email: as.email })
      await person(who)
      const [{ id }] = await list(as)
      isAnswer(t, await remove(as, id), 200, { message: 'Identity removed' })
      t.same(await through(who), { error: 'account_exists' })
      t.same(await link(as, who), { linked: 'acme' })
      t.equal((await person(who)).id, as.id)
    },
  )

  await t.test('a superuser sees and removes those of a stolen account, whose sessions end', async (t) => {
    const as = await service.person()
    const thief = somebody()
    await link(as, thief)
    const theirs = await signIn(thief)
    const { body } = await call('GET', `/users/${as.id}/identities`, { as: service.admin })
    const path = `/users/${as.id}/identities/${body.data[0].id}`
    isAnswer(t, await call('DELETE', path, { as: service.admin }), 200, { message: 'Identity removed' })
    const headers = { authorization: `Bearer ${theirs.body.access_token}` }
    isAnswer(t, await call('GET', '/users/me', { headers }), 401, REVOKED)
    t.not((await person(thief)).id, as.id)
  })

  await t.test('there are twenty at most, and the limit says so', async (t) => {
    const as = await service.person({ is_verified: true })
    await rows(sql`
      insert into identities (user_id, provider, issuer, subject)
      select ${as.id}::uuid, 'acme', 'https://other.example', ${as.id} || number from generate_series(1, 20) as number`)
    t.same(await link(as, somebody()), { error: 'too_many_identities' })
    t.same(await through(somebody({ email: as.email })), { error: 'too_many_identities' })
  })

  await t.test(
    'whoever signed up with somebody’s address keeps no way in once its owner resets the password',
    async (t) => {
      const thief = await service.person()
      const who = somebody()
      await link(thief, who)
      const token = await service.resetToken(thief.email)
      await call('POST', '/reset-password/', { body: { token, new_password: 'chosen by its owner' } })
      t.not((await person(who)).id, thief.id)
      t.equal((await service.signIn(thief.email, 'chosen by its owner')).status, 200)
    },
  )

  await t.test('the mail about a new password names identities that go on, and no removed one', async (t) => {
    const as = await service.person({ is_verified: true })
    await link(as, somebody())
    const reset = async () => {
      const token = await service.resetToken(as.email)
      await call('POST', '/reset-password/', { body: { token, new_password: 'correct horse battery' } })
      await rows(sql`delete from rate_limits`)
      const mails = await rows<{ params: { identities?: string } }>(
        sql`select params from emails where recipient = ${as.email} and message = 'password_changed' order by created_at`,
      )
      return mails.at(-1)?.params.identities
    }
    t.equal(await reset(), 'acme')
    await rows(sql`update identities set removed_at = now() where user_id = ${as.id}`)
    t.equal(await reset(), undefined)
  })

  await t.test("another user's is not found", async (t) => {
    const [as, other] = [await service.person(), await service.person()]
    await link(as, somebody())
    isAnswer(t, await remove(other, (await list(as))[0].id), 404, 'Identity not found')
    t.equal((await list(as)).length, 1)
  })

  await t.test('the last way in stays; with a password, or another identity, it may go', async (t) => {
    const as = await person(somebody())
    const [{ id }] = await list(as)
    isAnswer(t, await remove(as, id), 400, 'This is the only way to sign in')
    await link(as, somebody())
    isAnswer(t, await remove(as, id), 200, { message: 'Identity removed' })
    const [left] = await list(as)
    isAnswer(t, await remove(as, left.id), 400, 'This is the only way to sign in')
    const token = await service.resetToken(as.email)
    await call('POST', '/reset-password/', { body: { token, new_password: 'correct horse battery' } })
    const again = await service.again({ ...as, password: 'correct horse battery' })
    isAnswer(t, await remove(again, left.id), 200, { message: 'Identity removed' })
  })

  await t.test('an identity of a provider that is no longer set up is no way in', async (t) => {
    const as = await person(somebody())
    const [{ id }] = await list(as)
    await link(as, somebody())
    await rows(
      sql`update identities set issuer = 'https://gone.example' where user_id = ${as.id} and id <> ${id}`,
    )
    isAnswer(t, await remove(as, id), 400, 'This is the only way to sign in')
  })

  await t.test('a passkey is another way in, and can be the last one too', async (t) => {
    const as = await person(somebody())
    const [{ id }] = await list(as)
    const options = await call('POST', '/users/me/passkeys/options', { as })
    const key = credential(options.body.user.id)
    const { body } = await call('POST', '/users/me/passkeys', {
      as,
      body: key.create(options.body, { origin: FRONTEND }),
    })
    isAnswer(t, await remove(as, id), 200, { message: 'Identity removed' })
    const passkey = `/users/me/passkeys/${body.id}`
    isAnswer(t, await call('DELETE', passkey, { as }), 400, 'This is the only way to sign in')
    t.equal((await call('DELETE', `/users/${as.id}/passkeys/${body.id}`, { as: service.admin })).status, 200)
  })

  await t.test('who takes a changed address back gets rid of what a thief linked', async (t) => {
    const as = await service.person({ is_verified: true })
    const thief = somebody()
    await link(as, thief)
    const moved = address()
    await call('PATCH', '/users/me', { as, body: { email: moved } })
    const [change] = await rows<{ id: string }>(sql`select id from address_changes where user_id = ${as.id}`)
    const token = service.app.auth.oneTimeTokens.sign('undo_email_change', change!.id)
    isAnswer(t, await call('POST', '/undo-email-change/', { body: { token } }), 200, {
      message: 'Email address restored',
    })
    t.not((await person(thief)).id, as.id)
  })

  await t.test('a deleted account is not found by its identity, also while its rows are there', async (t) => {
    const who = somebody()
    const as = await person(who)
    t.equal((await call('DELETE', '/users/me', { as })).status, 200)
    t.not((await person(who)).id, as.id)
    const another = somebody()
    const { id } = await person(another)
    await rows(sql`update users set deleted_at = now() where id = ${id}`)
    t.not((await person(another)).id, id)
  })

  await t.test('with EMAIL_VERIFICATION=required, an identity does not stand for the address', async (t) => {
    const strict = await start(t, { EMAIL_VERIFICATION: 'required' })
    const as = await strict.person(somebody())
    const who = somebody({ email_verified: false })
    await strict.link(as, who)
    await strict.rows(sql`update users set is_verified = false where id = ${as.id}`)
    isAnswer(t, await strict.signIn(who), 400, 'Email not verified')
  })

  await t.test('where there is no provider, nothing of it leads anywhere', async (t) => {
    const plain = await startService(t)
    t.same((await plain.call('GET', '/login/providers')).body, { data: [] })
    isAnswer(t, await plain.call('GET', '/login/oidc/acme'), 404, 'Provider not found')
    t.equal((await plain.call('GET', '/login/oidc/acme/callback')).status, 302)
  })
})

void test('at once', async (t) => {
  const { service, provider, rows, begin, back, end, through, tokens, link } = await start(t, {
    RATE_LIMIT_ENABLED: 'false',
  })

  await t.test('of one way back, 20 times at once, one goes on', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      provider.somebody = somebody()
      const { url, cookie } = await begin()
      const callback = await provider.visit(url)
      const answers = await Promise.all(Array.from({ length: 20 }, () => back(callback, cookie)))
      t.equal(answers.filter((answer) => 'code' in end(answer)).length, 1)
    }
  })

  await t.test('of one code, 20 times at once, one opens a session', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const who = somebody()
      const { code } = await through(who)
      const answers = await Promise.all(Array.from({ length: 20 }, () => tokens(code)))
      t.equal(answers.filter(({ status }) => status === 200).length, 1)
      const sessions = await rows(
        sql`select 1 from sessions join users on users.id = user_id where email = ${who.email}`,
      )
      t.equal(sessions.length, 1)
    }
  })

  await t.test('somebody new who comes back in several tabs at once gets one account', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const who = somebody()
      const ends = await Promise.all(Array.from({ length: 4 }, () => through(who)))
      t.equal(ends.filter((way) => 'code' in way).length, 4, JSON.stringify(ends))
      t.equal(await countUsers(service, who.email!), 1)
      t.equal((await rows(sql`select 1 from identities where subject = ${who.sub}`)).length, 1)
    }
  })

  await t.test('of two accounts that link one identity at once, one has it', async (t) => {
    for (let round = 0; round < Math.min(ROUNDS, 20); round++) {
      const who = somebody()
      const people = await Promise.all([service.person(), service.person()])
      const ends = await Promise.all(people.map((as) => link(as, who)))
      t.equal(ends.filter((way) => 'linked' in way).length, 1)
      t.equal(ends.filter(({ error }) => error === 'identity_taken').length, 1)
    }
  })

  await t.test(
    'what a thief adds while the owner resets the password, or takes an address back, does not stay',
    async (t) => {
      const { call } = service
      for (let round = 0; round < Math.min(ROUNDS, 20); round++) {
        const takesBack = round % 2 === 0
        const as = await service.person({ is_verified: takesBack })
        if (takesBack) await call('PATCH', '/users/me', { as, body: { email: address() } })
        const [change] = await rows<{ id: string }>(
          sql`select id from address_changes where user_id = ${as.id}`,
        )
        const [path, body] = takesBack
          ? [
              '/undo-email-change/',
              { token: service.app.auth.oneTimeTokens.sign('undo_email_change', change!.id) },
            ]
          : [
              '/reset-password/',
              { token: await service.resetToken(as.email), new_password: 'chosen by its owner' },
            ]
        const addKey = async (number: number) => {
          const key = { name: String(number), permissions: ['users:read'] }
          return () => call('POST', '/users/me/api-keys', { as, body: key })
        }
        const addPasskey = async () => {
          const { body: options } = await call('POST', '/users/me/passkeys/options', { as })
          const passkey = credential(options.user.id).create(options, { origin: FRONTEND })
          return () => call('POST', '/users/me/passkeys', { as, body: passkey })
        }
        const additions = await Promise.all(
          Array.from({ length: takesBack ? 16 : 3 }, (_, number) =>
            takesBack ? addKey(number) : addPasskey(),
          ),
        )
        const [answer] = await Promise.all([call('POST', path, { body }), ...additions.map((add) => add())])
        t.equal(answer.status, 200, answer.text)
        t.same(await rows(sql`select name from api_keys where user_id = ${as.id}`), [])
        t.same(await rows(sql`select name from passkeys where user_id = ${as.id}`), [])
      }
    },
  )

  await t.test('an identity that is removed while it signs in opens nothing afterwards', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const as = await service.person()
      const who = somebody()
      await link(as, who)
      const [identity] = await rows<{ id: string }>(sql`select id from identities where user_id = ${as.id}`)
      const [way] = await Promise.all([
        through(who),
        service.call('DELETE', `/users/me/identities/${identity!.id}`, { as }),
      ])
      if (way.code === undefined) continue
      const opened = await tokens(way.code)
      const [mine] = await rows<{ id: string }>(
        sql`select user_id as id from identities where id = ${identity!.id}`,
      )
      t.equal(mine?.id === as.id && opened.status === 200, false, 'its code died with it')
    }
  })

  await t.test('two identities removed at once leave one, where there is no password', async (t) => {
    for (let round = 0; round < Math.min(ROUNDS, 20); round++) {
      const first = somebody()
      const { person } = browser(service, provider)
      const as = await person(first)
      await link(as, somebody())
      const ids = await rows<{ id: string }>(sql`select id from identities where user_id = ${as.id}`)
      const answers = await Promise.all(
        ids.map(({ id }) => service.call('DELETE', `/users/me/identities/${id}`, { as })),
      )
      t.same(new Set(answers.map(({ status }) => status)), new Set([200, 400]))
    }
  })
})

void test('neither a secret nor a code of a sign-in gets into the log', async (t) => {
  const log = await collectingLogger()
  const provider = await startIdentityProvider(t)
  const service = await startService(t, { FRONTEND_HOST: FRONTEND, ...provider.env }, { logger: log.logger })
  const { begin, back, end, tokens } = browser(service, provider)
  const secrets = ['a secret of the provider']
  provider.tamper = ({ path, body }) => {
    const answer = body as Record<string, unknown> | undefined
    if (path === '/token') secrets.push(...[answer?.id_token, answer?.access_token].map(String))
  }
  for (const tampering of [false, true]) {
    if (tampering) provider.tamper = altered(({ claims }) => void (claims.nonce = 'x'))
    provider.somebody = somebody()
    secrets.push(provider.somebody.sub, provider.somebody.email!)
    const { url, cookie } = await begin()
    secrets.push(cookie.split('=')[1]!)
    const callback = await provider.visit(url)
    for (const name of ['state', 'nonce', 'code_challenge'])
      secrets.push(new URL(url).searchParams.get(name)!)
    secrets.push(new URL(callback).searchParams.get('code')!)
    const { code } = end(await back(callback, cookie))
    if (code === undefined) continue
    secrets.push(code)
    const { body } = await tokens(code)
    secrets.push(body.access_token, body.refresh_token)
  }
  const lines = log.lines.join('\n')
  t.ok(log.lines.length > 5 && secrets.length > 12, 'there was something to tell')
  for (const secret of new Set(secrets)) t.notOk(lines.includes(secret), secret.slice(0, 12))
})
