import { request as send } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { limits } from '../../src/config/limits.ts'
import { freshNetwork, limited } from '../support/limits.ts'
import { type Answer, type Person, type Service, address, startService } from '../support/service.ts'

const WRONG = 'wrong horse battery'

/** One hash at a time, about 25 ms each, so that a queue builds up, with patience for a busy machine. */
const cost = { memoryCost: 19_456, timeCost: 3, parallelism: 1 }
const WAITING = 16
const hashing = { cost, running: 1, waiting: WAITING, patience: 60_000 }

const count = (answers: readonly Answer[]) =>
  answers.reduce<Record<number, number>>((counts, { status }) => {
    counts[status] = (counts[status] ?? 0) + 1
    return counts
  }, {})

/** Returns a check: one client attacks with three times what can wait, while others sign in once each. */
async function floods(service: Service) {
  const others: Person[] = []
  while (others.length < 4) others.push(await service.person())
  return async (t: Test, attack: (number: number) => Promise<Answer>) => {
    const attacks = Array.from({ length: 3 * WAITING }, (_, number) => attack(number))
    // By the first answer, all others are answered or wait for a hash.
    await Promise.race(attacks)
    const victims = await Promise.all(
      others.map(({ email, password }) => service.signIn(email, password, freshNetwork())),
    )
    t.strictSame(count(victims), { 200: others.length }, 'everybody else signs in')
    const attacked = count(await Promise.all(attacks))
    t.equal(attacked[503], undefined, 'what is too much of one is 429')
    t.ok(attacked[429]! > WAITING, `${attacked[429]} of ${attacks.length} are refused`)
  }
}

void test('a client that floods the service with password hashes keeps nobody else from signing in', async (t) => {
  const service = await startService(t, limited, { hashing })
  const { call, signIn, person, superuser } = service
  const flood = await floods(service)

  await t.test('a flood of right sign-ins of one user from one address keeps nobody else out', async (t) => {
    const [{ email, password }, from] = [await person(), freshNetwork()]
    await flood(t, () => signIn(email, password, from))
  })
  await t.test('a flood of right sign-ins of one user from everywhere keeps nobody else out', async (t) => {
    const { email, password } = await person()
    await flood(t, () => signIn(email, password, freshNetwork()))
  })
  await t.test('a flood of sign-ins with made-up names from one address keeps nobody else out', async (t) => {
    const from = freshNetwork()
    await flood(t, () => signIn(address(), WRONG, from))
  })
  await t.test('a flood of sign-ins from all networks of an IPv6 /48 keeps nobody else out', async (t) => {
    await flood(t, (number) => signIn(address(), WRONG, `2001:db8:7:${number.toString(16)}::1`))
  })
  await t.test('a flood of sign-ups from one address keeps nobody else out', async (t) => {
    const from = freshNetwork()
    await flood(t, () => call('POST', '/users/signup', { from, body: { email: address(), password: WRONG } }))
  })
  await t.test('a flood of password changes in one session keeps nobody else out', async (t) => {
    const as = await person()
    const body = { current_password: as.password, new_password: 'another horse battery' }
    await flood(t, () => call('PATCH', '/users/me/password', { as, body, from: freshNetwork() }))
  })
  await t.test('a flood of resets with one link keeps nobody else out', async (t) => {
    const body = { token: await service.resetToken((await person()).email), new_password: WRONG }
    await flood(t, () => call('POST', '/reset-password/', { body, from: freshNetwork() }))
  })
  await t.test('a flood of users created by one superuser keeps nobody else out', async (t) => {
    const as = await superuser()
    await flood(t, () =>
      call('POST', '/users/', { as, body: { email: address(), password: WRONG }, from: freshNetwork() }),
    )
  })
  await t.test('a flood of passwords set by one superuser keeps nobody else out', async (t) => {
    const [as, { id }] = [await superuser(), await person()]
    await flood(t, () =>
      call('PATCH', `/users/${id}`, { as, body: { password: WRONG }, from: freshNetwork() }),
    )
  })
  await t.test('a flood of users created through /private/users keeps nobody else out', async (t) => {
    const from = freshNetwork()
    const body = () => ({ email: address(), password: WRONG, full_name: null })
    await flood(t, () => call('POST', '/private/users/', { body: body(), from }))
  })
  await t.test('wrong passwords from everywhere leave the owner able to sign in from home', async (t) => {
    const [owner, home] = [await person(), freshNetwork()]
    t.equal((await signIn(owner.email, owner.password, home)).status, 200)
    const guesses = Array.from({ length: limits.login_by_strangers.burst }, () =>
      signIn(owner.email, WRONG, freshNetwork()),
    )
    t.equal((await signIn(owner.email, owner.password, home)).status, 200)
    await Promise.all(guesses)
  })
})

void test('a sign-in whose client disconnects leaves the queue for hashing', async (t) => {
  const service = await startService(t, limited, { hashing })
  const { app, signIn } = service
  const { email, password } = await service.person()
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  /** Waits until so many hashes are queued, for at most 10 s. */
  const waits = async (jobs: number) => {
    const until = Date.now() + 10_000
    while (app.auth.passwords.load().waiting !== jobs && Date.now() < until) await pause(5)
    t.equal(app.auth.passwords.load().waiting, jobs)
  }
  // The first hash takes a second or more; the others queue behind it.
  const slow = { memoryCost: 65_536, timeCost: 30, parallelism: 1 }
  const { hash } = await import('@node-rs/argon2')
  await service.rows(
    sql`update users set hashed_password = ${await hash(password, slow)} where email = ${email}`,
  )
  let isHashed = false
  const first = signIn(email, password, freshNetwork()).finally(() => (isHashed = true))
  while (app.auth.passwords.load().running === 0) await pause(5)

  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const clients = Array.from({ length: 2 }, () => {
    const form = new URLSearchParams({ username: address(), password: WRONG }).toString()
    const client = send({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/api/v1/login/access-token',
      headers,
    })
    client.on('error', () => undefined).end(form)
    return client
  })
  await waits(clients.length)
  for (const client of clients) client.destroy()
  await waits(0)
  // The same for two pipelined requests on one connection.
  const form = `username=${address()}&password=wrong`
  const one = `POST /api/v1/login/access-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${form.length}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n${form}`
  const pipelining = connect(port, '127.0.0.1').on('error', () => undefined)
  pipelining.write(one + one)
  await waits(2)
  pipelining.destroy()
  await waits(0)
  t.notOk(isHashed, 'while the first is still hashed')
  t.equal((await first).status, 200)
})

void test('a sign-in that waits too long for its hash is 503, and leaves the queue', async (t) => {
  const slow = { ...hashing, patience: 150 }
  const service = await startService(t, limited, { hashing: slow })
  const { app, signIn } = service
  const answers = await Promise.all(
    Array.from({ length: WAITING }, () => signIn(address(), WRONG, freshNetwork())),
  )
  t.strictSame(app.auth.passwords.load(), { running: 0, waiting: 0 }, 'nothing is hashed for those that left')
  const { 400: compared = 0, 503: refused = 0 } = count(answers)
  t.equal(compared + refused, WAITING)
  t.ok(compared > 0 && refused > 0, `${compared} compared, ${refused} refused`)
  const late = answers.find(({ status }) => status === 503)
  t.match(late, { headers: { 'retry-after': '1' }, body: { detail: 'Service Unavailable' } })
})
