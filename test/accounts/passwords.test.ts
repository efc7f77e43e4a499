import { readFileSync, readdirSync } from 'node:fs'
import { hash as argon2 } from '@node-rs/argon2'
import { hashSync } from 'bcryptjs'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { COST, passwords } from '../../src/accounts/passwords/passwords.ts'
import { isAnswer } from '../support/answers.ts'
import { address, startService } from '../support/service.ts'

const CURRENT = /^\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/
const INCORRECT = 'Incorrect email or password'

const onLinux = { skip: process.platform !== 'linux' && 'needs /proc of Linux' }

/** The niceness of a thread of this process (proc(5)): higher means a lower priority. */
function priorityOf(thread: string): number {
  const [, fields = ''] = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ')
  return Number(fields.split(' ')[16])
}

/** With a queue so short that one test can fill it; the others stay below. */
const hashing = { cost: COST, running: 1, waiting: 1, patience: 60_000 }

void test('passwords', async (t) => {
  const service = await startService(t, {}, { hashing })
  const { call, signIn, rows, admin } = service
  const ada = await service.person()
  const hashOf = async ({ id }: { id: string }) => {
    const [row] = await rows<{ hashed_password: string }>(
      sql`select hashed_password from users where id = ${id}`,
    )
    return row!.hashed_password
  }
  const setHash = (hash: string) => rows(sql`update users set hashed_password = ${hash} where id = ${ada.id}`)

  await t.test('password hashes have the algorithm and parameters of the FastAPI template', async (t) => {
    const [one, other] = [await hashOf(ada), await hashOf(await service.person())]
    t.match(one, CURRENT)
    t.match(other, CURRENT)
    t.not(one, other, 'the same password twice does not show')
    await signIn(ada.email, ada.password)
    t.equal(await hashOf(ada), one, 'a current hash is left alone')
  })

  await t.test('hashing runs in threads of a lower priority', onLinux, async (t) => {
    await signIn(ada.email, ada.password)
    const threads = readdirSync('/proc/self/task').map((thread) => priorityOf(thread))
    t.ok(Math.max(...threads) > Math.min(...threads), `priorities of threads: ${threads.join(' ')}`)
  })

  const bcrypt = hashSync(ada.password, 4)
  const few = { memoryCost: 1024, timeCost: 1, parallelism: 1 }
  const outdated = {
    'bcrypt 2a': bcrypt.replace(/^\$2.\$/, '$2a$'),
    'bcrypt 2b': bcrypt.replace(/^\$2.\$/, '$2b$'),
    'bcrypt 2y': bcrypt.replace(/^\$2.\$/, '$2y$'),
    'argon2id of fewer passes': await argon2(ada.password, few),
    'argon2id of more memory': await argon2(ada.password, { ...few, memoryCost: 65_537 }),
    argon2i: await argon2(ada.password, { ...few, algorithm: 1 }),
  }
  for (const [kind, hash] of Object.entries(outdated)) {
    await t.test(`a user whose hash is ${kind} signs in, and gets a current hash`, async (t) => {
      await setHash(hash)
      isAnswer(t, await signIn(ada.email, 'wrong horse battery'), 400, INCORRECT)
      t.equal(await hashOf(ada), hash, 'a wrong password renews nothing')
      const { status, body } = await signIn(ada.email, ada.password)
      t.equal(status, 200)
      t.match(await hashOf(ada), CURRENT)
      t.equal((await signIn(ada.email, ada.password)).status, 200, 'it is a hash of the same password')
      const headers = { authorization: `Bearer ${body.access_token}` }
      t.equal((await call('GET', '/users/me', { headers })).status, 200, 'renewing signs nobody out')
    })
  }

  await t.test(
    'a sign-in with a damaged hash, or one of an unknown kind, is 400 and breaks nothing',
    async (t) => {
      const good = outdated['argon2id of fewer passes']
      for (const hash of [
        '',
        '!',
        ada.password,
        '$argon2',
        '$argon2id$broken',
        good.slice(0, -5),
        good.replace('v=19', 'v=1'),
        good.replace('m=1024', 'm=0'),
        good.replace('m=1024', 'm=99999999999999999999'),
        '$2b$04$short',
        bcrypt.slice(0, -1),
        bcrypt.replace('$04$', '$99$'),
        bcrypt.replace('$04$', '$00$'),
        `$2b$04$${'!'.repeat(53)}`,
        '$5$rounds=5000$salt$hash',
        `pbkdf2_sha256$1$${ada.password}`,
      ]) {
        await setHash(hash)
        isAnswer(t, await signIn(ada.email, ada.password), 400, INCORRECT, hash)
      }
      for (const hash of ['', '$argon2id$broken', '$2b$04$short']) {
        await setHash(hash)
        isAnswer(t, await signIn(ada.email, ''), 400, INCORRECT, hash)
      }
      await setHash(bcrypt)
      t.equal((await signIn(ada.email, ada.password)).status, 200, 'the service goes on')
    },
  )

  await t.test('fault 1: the time of an answer does not tell whether an address is known', async (t) => {
    const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] }
    for (let round = 0; round < 9; round++) {
      for (const kind of ['known', 'unknown'] as const) {
        const start = performance.now()
        await signIn(kind === 'known' ? admin.email : address(), 'wrong horse battery')
        times[kind].push(performance.now() - start)
      }
    }
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[4]!
    const ratio = median(times.known) / median(times.unknown)
    t.ok(ratio > 0.5 && ratio < 2, `known takes ${ratio.toFixed(2)} of the time of unknown`)
  })

  await t.test(
    'fault 1: a refused password takes a minimum time, whatever the hash, reason and queue',
    async (t) => {
      const failing = 300
      const slow = passwords({ running: 1, waiting: 100, patience: 60_000, failing })
      t.teardown(() => slow.close())
      const right = await slow.hash(ada.password)
      await slow.verify(bcrypt, 'x') // its thread starts
      const time = async (work: () => Promise<unknown>) => {
        const start = performance.now()
        await work().catch(() => undefined)
        return performance.now() - start
      }
      const refuse = () => Promise.reject(new Error('others reached a limit'))
      const refused = {
        nobody: () => slow.verify(undefined, 'x'),
        'a current hash': () => slow.verify(right, 'x'),
        'a cheap hash': () => slow.verify(bcrypt, 'x'),
        'an unknown kind of hash': () => slow.verify('!', 'x'),
        'a claimed password': () => slow.verify(undefined, ada.password, undefined, undefined, right),
        'a password that is not claimed': () => slow.verify(right, 'x', undefined, undefined, null),
        'a right password, beyond a limit': () => slow.verify(right, ada.password, refuse),
      }
      for (const [what, verify] of Object.entries(refused)) {
        const took = await time(verify)
        t.ok(took >= failing, `${what}: ${took.toFixed(0)} ms`)
      }
      // Also after a wait in the queue that is longer than the minimum.
      const before = Array.from({ length: 8 }, () => time(() => slow.hash('x')))
      const last = time(() => slow.verify('!', 'x'))
      const waited = Math.max(...(await Promise.all(before)))
      t.ok(
        (await last) >= waited + failing - 20,
        `${(await last).toFixed(0)} ms after ${waited.toFixed(0)} ms`,
      )
      const slower = passwords({ failing: 3_600_000 })
      t.teardown(() => slower.close())
      t.match(await slower.verify(right, ada.password), { matches: true }, 'a right one does not wait')
    },
  )

  await t.test('sign-ins beyond the queue for hashing are 503 at once, and reads are served', async (t) => {
    // Takes most of a second of one core: refusals have to come before that.
    const slow = await argon2(ada.password, { memoryCost: 65_536, timeCost: 15, parallelism: 1 })
    const people = await rows<{ email: string }>(
      sql`insert into users (email, hashed_password)
          select number || ${address()}, ${slow} from generate_series(1, 8) number returning email`,
    )
    const order: number[] = []
    const logins = people.map(async ({ email }) => {
      const answer = await signIn(email, ada.password)
      order.push(answer.status)
      return answer
    })
    await Promise.race(logins)
    // One is being verified and one waits: other requests that need a hash are 503, and no others.
    const signup = { email: address(), password: ada.password }
    const busy = { status: 503, headers: { 'retry-after': '1' }, body: { detail: 'Service Unavailable' } }
    const [made, long, read] = await Promise.all([
      call('POST', '/users/signup', { body: signup }),
      signIn(admin.email, '🦊'.repeat(129)),
      call('GET', '/papers/', { as: admin }),
    ])
    t.match(made, busy)
    isAnswer(t, long, 400, INCORRECT, 'over 128 code points nothing is hashed')
    t.equal(read.status, 200)
    t.notOk(order.includes(200), 'all of that before the first login was verified')

    const answers = await Promise.all(logins)
    t.strictSame(order, [...Array<number>(6).fill(503), 200, 200])
    for (const answer of answers) if (answer.status !== 200) t.match(answer, busy)
    t.equal((await call('POST', '/users/signup', { body: signup })).status, 200, 'a later try succeeds')
  })
})

void test('fault 14: every character of a password counts, whatever its script', async (t) => {
  const { call, person, signIn } = await startService(t)
  const long = 'x'.repeat(89)
  const one = await person({ password: `${long}a${'y'.repeat(10)}` })
  isAnswer(t, await signIn(one.email, `${long}b${'y'.repeat(10)}`), 400, INCORRECT)
  t.equal((await signIn(one.email, one.password)).status, 200)

  for (const password of ['🦊🦉🐝🦋🐞🐢🦔🐌', '🦊'.repeat(128), '        ', 'ünïcödés', '12345678 aaaa']) {
    const body = { email: address(), password, full_name: null }
    t.equal((await call('POST', '/users/signup', { body })).status, 200, `${[...password].length} letters`)
    t.equal((await signIn(body.email, password)).status, 200)
    isAnswer(t, await signIn(body.email, [...password].slice(1).join('')), 400, INCORRECT)
  }
})
