import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { SITE_ROOM, knownNetworks, limits } from '../../src/config/limits.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { countMore, freshNetwork, letPass, limited, retryAfter } from '../support/limits.ts'
import { noDatabase, startWithoutData } from '../support/no-database.ts'
import { type Answer, type Person, type Service, address, startService } from '../support/service.ts'

const INCORRECT = 'Incorrect email or password'
/** Too high a limit to reach here: see resources/idempotency.test.ts. */
const ELSEWHERE = 'idempotency_keys'
const WRONG = 'wrong horse battery'
const LINK_SENT = { message: 'If that email is registered, we sent a password recovery link' }

function isLimited(t: Test, answer: Answer, message = 'is 429') {
  isAnswer(t, answer, 429, 'Too many requests', message)
  t.ok(Number.isInteger(retryAfter(answer)) && retryAfter(answer) > 0, 'says when to come back')
}

/** Calls until it is refused, at most `most` times. @returns how many passed, and the refusal */
async function exhaust(attempt: () => Promise<Answer>, most = 400) {
  for (let passed = 0; passed < most; passed++) {
    const answer = await attempt()
    if (answer.status === 429) return { passed, refusal: answer }
  }
  throw new Error('never refused')
}

void test('limits', async (t) => {
  const provider = await startIdentityProvider(t)
  const service = await startService(t, { ...limited, ...provider.env })
  cheapHashing(service)
  const { call, signIn, person, rows, admin } = service
  const recover = (email: string, from = freshNetwork()) =>
    call('POST', `/password-recovery/${email}`, { from })

  /** For every limit, a call that counts towards it and reaches no other one first. */
  const counted: Record<
    Exclude<keyof typeof limits, typeof ELSEWHERE>,
    () => Promise<() => Promise<Answer>>
  > = {
    async login() {
      const [{ email }, from] = [await person(), freshNetwork()]
      await signIn(email, 'correct horse battery', from) // so that the account knows the network
      return () => signIn(email, WRONG, from)
    },
    async login_by_strangers() {
      const { email } = await person()
      return () => signIn(email, WRONG, freshNetwork())
    },
    login_network() {
      const from = freshNetwork()
      return Promise.resolve(() => signIn(address(), WRONG, from))
    },
    async sign_ins() {
      const { email, password } = await person()
      for (let times = 0; times < knownNetworks.most; times++) await signIn(email, password, freshNetwork())
      await letPass(service, 3600)
      return () => signIn(email, password, freshNetwork())
    },
    async password_changes() {
      const as = await person()
      let current = as.password
      return async () => {
        const body = { current_password: current, new_password: `another horse ${randomUUID()}` }
        const answer = await call('PATCH', '/users/me/password', { as, body, from: freshNetwork() })
        if (answer.status === 200) current = body.new_password
        return answer
      }
    },
    async codes() {
      const as = await person()
      const body = { code: '000000' }
      return () => call('POST', '/login/reauthenticate', { as, body, from: freshNetwork() })
    },
    async password_change() {
      const as = await person()
      const body = { current_password: WRONG, new_password: 'another horse battery' }
      return () => call('PATCH', '/users/me/password', { as, body, from: freshNetwork() })
    },
    passkey_network() {
      const from = freshNetwork()
      return Promise.resolve(() => call('POST', '/login/passkey/options', { from }))
    },
    async exports() {
      const as = await person()
      return () => call('POST', '/users/me/export', { as })
    },
    mail_network() {
      const from = freshNetwork()
      return Promise.resolve(() => recover(address(), from))
    },
    provider_network() {
      const from = freshNetwork()
      return Promise.resolve(() => call('GET', '/login/oidc/acme', { from }))
    },
    signup_network() {
      const from = freshNetwork()
      return Promise.resolve(() =>
        call('POST', '/users/signup', { from, body: { email: address(), password: WRONG } }),
      )
    },
  }

  for (const name of Object.keys(counted) as (keyof typeof counted)[]) {
    const { burst, every, pause } = limits[name]
    await t.test(
      `fault 22: beyond the limit ${name} a call is 429 for exactly as long as Retry-After says`,
      async (t) => {
        const attempt = await counted[name]()
        const start = performance.now()
        const { passed, refusal } = await exhaust(attempt)
        const forgotten = Math.ceil((performance.now() - start) / 1000 / every) - 1
        t.ok(passed >= burst && passed <= burst + forgotten, `${passed} pass`)
        isLimited(t, refusal)
        t.ok(retryAfter(refusal) <= pause && retryAfter(refusal) > pause - 20, `${retryAfter(refusal)} s`)
        await letPass(service, retryAfter(refusal) - 20)
        isLimited(t, await attempt(), 'too early')
        await letPass(service, 21)
        t.not((await attempt()).status, 429, 'as it said')
        isLimited(t, await attempt(), 'one, and no more')
      },
    )
  }

  await t.test(
    'fault 22: each further wrong password doubles the wait, until all of them are forgotten',
    async (t) => {
      const attempt = await counted.login()
      let { refusal } = await exhaust(attempt)
      const waits = [retryAfter(refusal)]
      for (let round = 0; round < 5; round++) {
        await letPass(service, retryAfter(refusal))
        ;({ refusal } = await exhaust(attempt))
        waits.push(retryAfter(refusal))
      }
      t.strictSame(
        waits.map((wait) => Math.round(wait / 10) * 10),
        [30, 60, 120, 240, 480, 960],
      )
      await letPass(service, limits.login.every * (limits.login.burst + 6))
      t.equal((await exhaust(attempt)).passed, limits.login.burst)
    },
  )

  await t.test('fault 1: an unknown account is limited exactly as a known one', async (t) => {
    const known = await person()
    const attack = async (email: string) => {
      const [one, seen] = [freshNetwork(), [] as object[]]
      for (let attempt = 0; attempt < 40; attempt++) {
        const spelled = attempt % 2 ? email.toUpperCase() : email
        const answer = await signIn(spelled, WRONG, attempt < 15 ? one : freshNetwork())
        const { status, text, headers } = answer
        const { 'x-request-id': _id, date: _date, ...rest } = headers
        // Seconds pass while this is tried.
        seen.push({ status, text, ...rest, 'retry-after': Math.ceil(retryAfter(answer) / 10) })
      }
      return seen
    }
    t.strictSame(await attack(address()), await attack(known.email))
  })

  await t.test('fault 24: right passwords do not count towards the limits of wrong ones', async (t) => {
    const { email, password } = await person()
    const from = freshNetwork()
    for (let round = 0; round < limits.login_network.burst + 20; round++)
      t.equal((await signIn(email, password, from)).status, 200)
    t.equal(
      (await exhaust(() => signIn(email, WRONG, from))).passed,
      limits.login.burst,
      'nothing was used up',
    )
  })

  await t.test(
    'fault 24: a right password is 429 if wrong ones reach the limit while it is compared',
    async (t) => {
      const { passwords } = service.app.auth
      const { verify } = passwords
      /** Runs something between the next password comparison and the use of its result. */
      const meanwhile = (happens: () => Promise<unknown>) => {
        passwords.verify = (hash, password, settle) => {
          passwords.verify = verify
          return verify(hash, password, async (matches) => {
            await happens()
            await settle?.(matches)
          })
        }
      }
      const [{ id, email, password }, from] = [await person(), freshNetwork()]
      const sessions = async () => (await rows(sql`select from sessions where user_id = ${id}`)).length
      const before = await sessions()
      meanwhile(() => exhaust(() => signIn(email, WRONG, from)))
      isLimited(t, await signIn(email, password, from), 'nobody learns that it was right')
      t.equal(await sessions(), before)

      const as = await person()
      const change = (current_password: string) =>
        call('PATCH', '/users/me/password', {
          as,
          body: { current_password, new_password: 'another horse battery' },
        })
      meanwhile(() => exhaust(() => change(WRONG)))
      isLimited(t, await change(as.password))
      t.equal((await signIn(as.email, as.password)).status, 200, 'and it is not changed')
    },
  )

  await t.test(
    'fault 24: an account takes under 100 wrong passwords an hour, and its owner still gets in',
    async (t) => {
      const owner = await person()
      const own = Array.from({ length: knownNetworks.most }, freshNetwork)
      for (const from of own) t.equal((await signIn(owner.email, owner.password, from)).status, 200)
      const home = own.pop()!
      const guess = (from: string) => () => signIn(owner.email, WRONG, from)
      const change = () =>
        call('PATCH', '/users/me/password', {
          as: owner,
          body: { current_password: WRONG, new_password: 'another horse battery' },
        })
      // For an hour: strangers, guesses from two of the owner's networks, and a stolen session, each up to its limit.
      const waysIn = [() => guess(freshNetwork())(), ...own.map(guess), change]
      let failures = 0
      for (let hour = 0; hour < 3600;) {
        const rounds = []
        for (const attempt of waysIn) rounds.push(await exhaust(attempt))
        failures += rounds.reduce((sum, { passed }) => sum + passed, 0)
        const wait = Math.min(...rounds.map(({ refusal }) => retryAfter(refusal)))
        await letPass(service, wait)
        hour += wait
        // The owner signs in from home all the time.
        t.equal((await signIn(owner.email, owner.password, home)).status, 200)
      }
      t.ok(failures > 40 && failures + limits.login.burst + 6 < 100, `${failures} failures`)
      t.comment(`${failures} failures in an hour`)

      await exhaust(guess(freshNetwork()))
      await exhaust(() => guess(freshNetwork())())
      isLimited(t, await signIn(owner.email, owner.password, freshNetwork()), 'a new network is a stranger')
      const away = freshNetwork()
      const link = { token: await service.resetToken(owner.email), new_password: 'another horse battery' }
      isAnswer(t, await call('POST', '/reset-password/', { body: link, from: away }), 200, {
        message: 'Password updated successfully',
      })
      t.equal(
        (await signIn(owner.email, link.new_password, away)).status,
        200,
        'but a mailed link lets it in',
      )
    },
  )

  await t.test('fault 24: an account knows only the networks of its latest sign-ins', async (t) => {
    const { email, password } = await person()
    const networks = Array.from({ length: knownNetworks.most + 1 }, freshNetwork)
    for (const from of networks) t.equal((await signIn(email, password, from)).status, 200)
    await exhaust(() => signIn(email, WRONG, freshNetwork()))
    isLimited(t, await signIn(email, password, networks[0]))
    for (const from of networks.slice(1)) t.equal((await signIn(email, password, from)).status, 200)
    const other = await person()
    await exhaust(() => signIn(other.email, WRONG, freshNetwork()))
    isLimited(
      t,
      await signIn(other.email, other.password, networks[1]),
      'known to one account, not to another',
    )
  })

  await t.test('fault 23: a network has one limit in any spelling, and after 5,001 others too', async (t) => {
    let round = 0
    const rotating: [string, () => string][] = [
      ['within one /64', () => `fd00:1:2:3:${(round += 1).toString(16)}::1`],
      ['mapped into IPv6', () => ((round += 1) % 2 ? '::ffff:203.0.113.9' : '203.0.113.9')],
      ['lied about', () => '203.0.113.10'],
    ]
    for (const [how, from] of rotating) {
      const attempt = () =>
        call('POST', `/password-recovery/${address()}`, {
          from: from(),
          headers: { 'x-forwarded-for': freshNetwork(), forwarded: `for=${freshNetwork()}` },
        })
      t.equal((await exhaust(attempt)).passed, limits.mail_network.burst, how)
      await rows(sql`insert into rate_limits
        select gen_random_uuid()::text, now() + interval '1 minute', now() from generate_series(1, 5001)`)
      isLimited(t, await attempt(), `${how}: not forgotten`)
    }
  })

  const overNetworks: Record<string, (from: string) => Promise<Answer>> = {
    login_network: (from) => signIn(address(), WRONG, from),
    mail_network: (from) => recover(address(), from),
    signup_network: (from) =>
      call('POST', '/users/signup', { from, body: { email: address(), password: WRONG } }),
  }
  for (const [name, attempt] of Object.entries(overNetworks))
    await t.test(
      `${name}: an IPv6 /48 has ten times the limit of a /64, over all its /64 networks together`,
      async (t) => {
        const { burst, every } = limits[name as keyof typeof limits]
        const left = 20
        const site = `2001:db8:${name.length.toString(16)}`
        let round = 0
        const attemptAtSite = () => attempt(`${site}:${(round += 1).toString(16)}::1`)
        const start = performance.now()
        await attemptAtSite()
        await countMore(service, SITE_ROOM * burst - left - 1, every / SITE_ROOM)
        const { passed, refusal } = await exhaust(attemptAtSite)
        const forgotten = Math.ceil(((performance.now() - start) / 1000 / every) * SITE_ROOM)
        t.ok(passed >= left && passed <= left + forgotten, `${passed} pass`)
        isLimited(t, refusal)
        t.not((await attempt('2001:db8:ffff:1::1')).status, 429, 'the next /48 is another')
      },
    )

  await t.test(
    'guesses from a network do not lock out a user who has signed in from it before',
    async (t) => {
      const [colleague, newcomer, office] = [await person(), await person(), freshNetwork()]
      t.equal((await signIn(colleague.email, colleague.password, office)).status, 200)
      await exhaust(() => signIn(address(), WRONG, office))
      t.equal((await signIn(colleague.email, colleague.password, office)).status, 200)
      isAnswer(t, await signIn(colleague.email, WRONG, office), 400, INCORRECT, 'also where they mistype')
      const { passed } = await exhaust(() => signIn(colleague.email, WRONG, office))
      t.equal(passed, limits.login.burst - 1, 'within the limit of their own')
      isLimited(t, await signIn(newcomer.email, newcomer.password, office), 'not where nobody knows them')
      const headers = { 'content-type': 'application/json' }
      for (const request of [{ form: {} }, { body: {}, headers }, { body: '{', headers }])
        isLimited(
          t,
          await call('POST', '/login/access-token', { from: office, ...request }),
          'before 415 and 422',
        )
    },
  )

  await t.test(
    'an owner who is 429 at home because of wrong passwords from there gets in by a reset',
    async (t) => {
      const [owner, home] = [await person(), freshNetwork()]
      t.equal((await signIn(owner.email, owner.password, home)).status, 200)
      await exhaust(() => signIn(owner.email, WRONG, home))
      isLimited(t, await signIn(owner.email, owner.password, home))
      const body = { token: await service.resetToken(owner.email), new_password: 'another horse battery' }
      t.equal((await call('POST', '/reset-password/', { body, from: home })).status, 200)
      t.equal((await signIn(owner.email, body.new_password, home)).status, 200)
    },
  )

  for (const [what, path, kind] of [
    ['a recovery', '/password-recovery/', 'recovery'],
    ['a verification', '/verify-email/resend', 'verification'],
  ] as const)
    await t.test(
      `a network at its mail limit is 429, but a user known from it is sent ${what} mail`,
      async (t) => {
        const [owner, newcomer, office] = [await person(), await person(), freshNetwork()]
        t.equal((await signIn(owner.email, owner.password, office)).status, 200)
        await exhaust(() => recover(address(), office))
        const ask = (email: string) =>
          kind === 'recovery'
            ? call('POST', `${path}${email}`, { from: office })
            : call('POST', path, { from: office, body: { email } })
        const [known, unknown] = [await ask(owner.email), await ask(newcomer.email)]
        isLimited(t, known)
        isLimited(t, unknown, 'nobody is told which account knows the network')
        const mailsTo = (email: string) =>
          rows(sql`select from emails where recipient = ${email} and message = ${kind}`)
        t.equal((await mailsTo(owner.email)).length, 1)
        t.equal((await mailsTo(newcomer.email)).length, 0)
      },
    )

  await t.test(
    'a right current password does not count as a wrong one, even if the new one is refused',
    async (t) => {
      const as = await person()
      const change = (current_password: string, new_password: string) =>
        call('PATCH', '/users/me/password', { as, body: { current_password, new_password } })
      const tries = 2 * limits.password_change.burst
      for (let round = 0; round < tries; round++) {
        t.equal((await change(as.password, as.password)).status, 400)
        t.equal((await change(as.password, 'password123')).status, 422)
      }
      t.equal(
        (await exhaust(() => change(WRONG, 'another horse battery'))).passed,
        limits.password_change.burst,
      )
    },
  )

  await t.test('429 comes before 400, 413, 415 and 422; the last three count for no limit', async (t) => {
    const from = freshNetwork()
    const path = '/users/signup'
    const json = { 'content-type': 'application/json' }
    const faulty: [number, Parameters<typeof call>[2]][] = [
      [422, { from, body: {} }],
      [415, { from, body: '<a/>', headers: { 'content-type': 'text/xml' } }],
      [413, { from, body: 'x'.repeat(1024 * 1024 + 1), headers: json }],
    ]
    for (let round = 0; round < limits.signup_network.burst; round++)
      for (const [status, request] of faulty.slice(0, 2))
        t.equal((await call('POST', path, request)).status, status)
    t.equal((await call('POST', path, faulty[2]![1])).status, 413)
    const attempt = () => call('POST', path, { from, body: { email: address(), password: WRONG } })
    t.equal((await exhaust(attempt)).passed, limits.signup_network.burst)
    for (const [, request] of faulty) isLimited(t, await call('POST', path, request))
    isLimited(t, await call('POST', path, { from, body: '{', headers: json }))
  })

  await t.test('fault 22: a change of address is 429 beyond the mail limit of the network', async (t) => {
    const move = (as: Person, email: string, from: string) =>
      call('PATCH', '/users/me', { as, body: { email }, from })
    const [taken, from] = [await person(), freshNetwork()]
    const ada = await person()
    for (let round = 0; round < limits.mail_network.burst; round++) {
      const to = round % 2 ? taken.email : address()
      const { status } = await move(ada, to, from)
      t.equal(status, round % 2 ? 409 : 200, 'also where it is told that an address is in use')
    }
    isLimited(t, await move(ada, address(), from), 'to many addresses, from one network')
    const me = await call('PATCH', '/users/me', { as: ada, body: { full_name: 'Ada L.' }, from })
    t.equal(me.status, 200, 'a name is no mail')
    t.equal((await move(ada, me.body.email.toUpperCase(), from)).status, 200, 'nor is the same address')
  })

  await t.test('fault 11: no spelling of a path gets around a limit', async (t) => {
    const from = freshNetwork()
    await exhaust(() => recover(address(), from))
    const paths = ['/password-recovery/a@b.co/', '/password-recovery/a%40b.co', '/%70assword-recovery/a@b.co']
    for (const path of paths) isLimited(t, await call('POST', path, { from }), path)
    for (const method of ['GET', 'HEAD', 'PUT'] as const)
      t.equal((await call(method, paths[0]!, { from })).status, 405, 'other methods are told first')
    t.equal((await call('POST', `//api/v1${paths[0]}`, { from })).status, 404)

    // From the same network, so the mail limit is reached.
    const email = address()
    const resend = (path: string) => call('POST', path, { from, body: { email } })
    for (const path of [
      '/verify-email/resend',
      '/verify-email/resend/',
      '/verify-email/%72esend',
      '/%76erify-email/resend?x=1',
    ])
      isLimited(t, await resend(path), path)
    for (const path of [
      '/verify-email//resend',
      '/verify-email/resend;x=1',
      '/verify-email%2Fresend',
      '//api/v1/verify-email/resend',
    ])
      t.equal((await resend(path)).status, 404, path)

    const guesses = freshNetwork()
    const guess = (path: string) =>
      call('POST', path, { from: guesses, form: { username: email, password: WRONG } })
    const ways = [
      '/login/access-token',
      '/login/access-token/',
      '/login/%61ccess-token',
      '/login/access%2Dtoken?x',
    ]
    let turn = 0
    t.equal((await exhaust(() => guess(ways[(turn += 1) % ways.length]!))).passed, limits.login.burst)
    for (const path of ways) isLimited(t, await guess(path), path)
    for (const path of ['/login//access-token', '/login/access-token;a', '/LOGIN/access-token'])
      t.equal((await guess(path)).status, 404, path)
  })

  await t.test('stored counters contain no email or IP address, and expired ones are deleted', async (t) => {
    const { email } = await person()
    await signIn(email, WRONG, '203.0.113.77')
    const stored = JSON.stringify([
      await rows(sql`select * from rate_limits`),
      await rows(sql`select * from known_networks`),
    ])
    for (const secret of [email, '203.0.113.77', '127.0.0.1', admin.email]) t.notMatch(stored, secret)
    const count = async () => (await rows(sql`select from rate_limits`)).length
    const reap = reaper(service.app.db, [])
    const before = await count()
    await reap()
    t.ok((await count()) > 0 && (await count()) <= before, 'what counts stays')
    await letPass(service, 1_000_000)
    await reap()
    t.equal(await count(), 0)
  })
})

void test('fault 18: X-Forwarded-For is believed from TRUST_PROXY alone, and only what proxies added', async (t) => {
  const service = await startService(t, { ...limited, TRUST_PROXY: '127.0.0.1, 10.0.0.0/8' })
  const recoverThrough = (proxy: string, forwarded: string) =>
    service.call('POST', `/password-recovery/${address()}`, {
      from: proxy,
      headers: { 'x-forwarded-for': forwarded },
    })
  const client = freshNetwork()
  const lying = () => recoverThrough('127.0.0.1', `${freshNetwork()}, ${client}, 10.1.2.3`)
  t.equal((await exhaust(lying)).passed, limits.mail_network.burst)
  isLimited(t, await recoverThrough('10.9.9.9', `${client}:4711`), 'through another proxy, with a port')
  isAnswer(
    t,
    await recoverThrough('127.0.0.1', freshNetwork()),
    200,
    LINK_SENT,
    'somebody else behind the proxy',
  )
  isAnswer(t, await recoverThrough(freshNetwork(), client), 200, LINK_SENT, 'nobody else is believed')
})

void test('while the database is unreachable, requests to limited endpoints are 503', async (t) => {
  let fault: Error | undefined
  const app = await startWithoutData(
    t,
    limited,
    noDatabase(() => fault),
  )
  fault = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const answers = await Promise.all([
    app.inject({ method: 'POST', url: '/api/v1/password-recovery/a@b.co' }),
    app.inject({ method: 'POST', url: '/api/v1/users/signup', payload: {} }),
  ])
  for (const { statusCode, headers } of answers) {
    t.equal(statusCode, 503)
    t.equal(headers['retry-after'], '1')
  }
})

void test('RATE_LIMIT_ENABLED=false lets everything through', async (t) => {
  const service: Service = await startService(t, { RATE_LIMIT_ENABLED: 'false' })
  cheapHashing(service)
  const email = address()
  for (let round = 0; round < 30; round++) isAnswer(t, await service.signIn(email, WRONG), 400, INCORRECT)
  t.strictSame(await service.rows(sql`select * from rate_limits`), [])
})
