import { scryptSync } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { allowForOtherHashes } from '../../src/accounts/passwords/other-hashes.ts'
import { COST, isAffordable, passwords } from '../../src/accounts/passwords/passwords.ts'
import { readHash } from '../../src/accounts/import/read-hash.ts'
import { isAnswer } from '../support/answers.ts'
import {
  PASSWORD,
  byForm,
  digests,
  firebase,
  hashes,
  longBcrypt,
  longShaCrypt,
} from '../support/other-hashes.ts'
import { startService } from '../support/service.ts'

const INCORRECT = 'Incorrect email or password'
const CURRENT = /^\$argon2id\$v=19\$m=8,t=1,p=1\$/

const key = scryptSync(PASSWORD, 'sixteen bytes...', 64)
const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')
const nodes = `$scrypt$ln=14,r=8,p=1$${base64(Buffer.from('sixteen bytes...'))}$${base64(key)}`

void test('hashes of other systems', async (t) => {
  const { rows, signIn, person } = await startService(t)
  const ada = await person()
  const setHash = (hash: string) => rows(sql`update users set hashed_password = ${hash} where id = ${ada.id}`)
  const hashNow = async () =>
    (await rows<{ hashed_password: string }>(sql`select hashed_password from users where id = ${ada.id}`))[0]!
      .hashed_password

  const of = (password: string) => (hash: string) => [hash, password] as const
  const kinds = {
    ...Object.fromEntries(Object.entries(hashes).map(([name, hash]) => [name, of(PASSWORD)(hash)])),
    "Node's scrypt": of(PASSWORD)(nodes),
    "Firebase's scrypt": of(firebase.password)(firebase.hash),
  }
  for (const [kind, [hash, password]] of Object.entries(kinds))
    await t.test(
      `a user whose hash is ${kind} signs in, and gets a current hash of the same password`,
      async (t) => {
        await setHash(hash)
        isAnswer(t, await signIn(ada.email, `${password}!`), 400, INCORRECT)
        t.equal(await hashNow(), hash, 'a wrong password renews nothing')
        t.equal((await signIn(ada.email, password)).status, 200)
        t.match(await hashNow(), CURRENT)
        t.equal((await signIn(ada.email, password)).status, 200)
      },
    )

  await t.test(
    'of a password that bcrypt cut at 72 bytes, what comes after them does not count',
    async (t) => {
      for (const { password, hash } of longBcrypt) {
        await setHash(hash)
        isAnswer(t, await signIn(ada.email, `!${password}`), 400, INCORRECT)
        t.equal((await signIn(ada.email, password)).status, 200)
      }
    },
  )

  await t.test('once its hash is renewed, all of a password counts', async (t) => {
    const [{ password, hash }] = longBcrypt
    await setHash(hash)
    t.equal((await signIn(ada.email, password)).status, 200)
    isAnswer(t, await signIn(ada.email, password.slice(0, 72)), 400, INCORRECT)
  })

  await t.test('sha-crypt of passwords as long as its digest is verified', async (t) => {
    for (const { password, hash } of longShaCrypt) {
      await setHash(hash)
      t.equal((await signIn(ada.email, password)).status, 200, `${password.length} bytes`)
    }
  })

  await t.test('a password is right in the normal form that it was hashed in', async (t) => {
    for (const [form, hash] of Object.entries(byForm)) {
      await setHash(hash)
      const status = (await signIn(ada.email, 'bättery ﬁve'.normalize(form))).status
      t.equal(status, 200, form)
    }
    await setHash(byForm.NFC)
    t.equal((await signIn(ada.email, 'bättery ﬁve'.normalize('NFD'))).status, 200, 'another keyboard')
  })

  await t.test('hashes that cost too much, or of an unknown kind, are a wrong password', async (t) => {
    for (const hash of [...costly, '$1$salt$qJH7.N4xYta3aEG/dfqo/0', 'sha1$salt$abc', '$hex-md5$nothing']) {
      await setHash(hash)
      isAnswer(t, await signIn(ada.email, PASSWORD), 400, INCORRECT, hash)
    }
  })
})

const costly = [
  hashes.argon2id.replace('m=1024', 'm=262145'),
  hashes.argon2id.replace('t=2', 't=9999'),
  hashes['bcrypt 2b'].replace('$05$', '$15$'),
  hashes.scrypt.replace('ln=10', 'ln=19'),
  hashes.scrypt.replace('ln=10,r=8,p=1', 'ln=17,r=8,p=4'),
  firebase.hash.replace('n=14', 'n=19'),
  hashes['django sha256'].replace('$2000$', '$4000000$'),
  hashes['passlib sha512_crypt'].replace('2000', '999999999'),
]

void test('hashes with the default parameters of other systems are taken, and costlier ones refused', (t) => {
  const usual = [
    hashes['bcrypt 2b'].replace('$05$', '$14$'),
    hashes['django sha256'].replace('$2000$', '$1200000$'),
    hashes['passlib sha512_crypt'].replace('2000', '656000'),
    hashes.scrypt.replace('ln=10', 'ln=17'),
    hashes.argon2id.replace('m=1024', 'm=102400'),
  ]
  for (const hash of usual) t.ok(isAffordable(hash), hash)
  for (const hash of costly) t.match(readHash(hash), { fault: /cost too much/ }, hash)
  t.end()
})

void test('fault 1: a refused password takes as long as one of the slowest hash, for everybody', async (t) => {
  const slow = hashes['passlib sha512_crypt'].replace('2000', '200000') // 400 ms by estimate
  const timed = passwords({ cost: COST, failing: 0 })
  t.teardown(() => timed.close())
  const timeOf = async (hash: string | undefined) => {
    const start = performance.now()
    await timed.verify(hash, 'wrong')
    return performance.now() - start
  }
  await timeOf(slow)
  for (const hash of [undefined, '!', hashes['django sha1'], slow]) {
    const took = await timeOf(hash)
    t.ok(took >= 600, `${hash}: ${took.toFixed(0)} ms`)
  }
})

void test('a start makes allowance for the slowest hash that a user has', async (t) => {
  const { app, rows } = await startService(t)
  const slow = hashes['passlib sha512_crypt'].replace('2000', '100000')
  await rows(sql`insert into users (email, hashed_password) values ('slow@example.com', ${slow})`)
  const started = passwords({ failing: 0 })
  t.teardown(() => started.close())
  await allowForOtherHashes(app.db, started)
  const start = performance.now()
  await started.verify('!', 'wrong')
  const took = performance.now() - start
  t.ok(took >= 300, `${took.toFixed(0)} ms`)
})

void test('an unsalted hash is known by its length, in any case of its letters', (t) => {
  for (const [digest, hash] of Object.entries(digests))
    t.match(readHash(hash.toUpperCase()), { kind: `unsalted ${digest}`, digest, of: hash })
  for (const text of [
    null,
    '',
    '!',
    'correct horse battery',
    'abc',
    '$hex-md5$argon2id$v=19$m=8,t=1,p=1$a$b',
  ])
    t.strictSame(readHash(text), { kind: 'unknown' }, String(text))
  t.end()
})

void test("Django's hashes that have a form of their own are taken without its prefix", (t) => {
  t.match(readHash(`argon2${hashes.argon2id}`), { kind: 'argon2', hash: hashes.argon2id })
  t.match(readHash(`bcrypt$${hashes['bcrypt 2b']}`), { kind: 'bcrypt', hash: hashes['bcrypt 2b'] })
  t.end()
})
