import { hashSync } from 'bcryptjs'
import { hash as argon2 } from '@node-rs/argon2'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { type Service, startService } from '../support/service.ts'

const CURRENT = /^\$argon2id\$v=19\$m=65536,t=3,p=4\$/

async function hashOf(service: Service, id: string) {
  const [row] = await service.rows<{ hashed_password: string }>(
    sql`select hashed_password from users where id = ${id}`,
  )
  return row!.hashed_password
}

const setHash = (service: Service, id: string, hash: string) =>
  service.rows(sql`update users set hashed_password = ${hash} where id = ${id}`)

void test('passwords', async (t) => {
  const service = await startService(t)
  const person = await service.person()

  await t.test('hashes are those of the FastAPI template, so that either service knows them', async (t) => {
    t.match(await hashOf(service, person.id), CURRENT)
  })

  const cheaper = { memoryCost: 8192, timeCost: 1, parallelism: 1 }
  const outdated = {
    'bcrypt 2b': hashSync(person.password, 4),
    'bcrypt 2y': hashSync(person.password, 4).replace('$2b$', '$2y$'),
    'argon2id of other parameters': await argon2(person.password, cheaper),
  }
  for (const [kind, hash] of Object.entries(outdated)) {
    await t.test(`${kind}: people sign in as before, and get a current hash`, async (t) => {
      await setHash(service, person.id, hash)
      t.equal((await service.signIn(person.email, 'something else')).status, 400)
      t.equal(await hashOf(service, person.id), hash, 'a wrong password renews nothing')
      t.equal((await service.signIn(person.email, person.password)).status, 200)
      t.match(await hashOf(service, person.id), CURRENT)
      t.equal((await service.signIn(person.email, person.password)).status, 200)
    })
  }

  await t.test(
    'a hash that is damaged or of an unknown kind matches nothing, and breaks nothing',
    async (t) => {
      for (const hash of ['$argon2id$broken', '!', '', '$2b$04$short']) {
        await setHash(service, person.id, hash)
        t.equal((await service.signIn(person.email, person.password)).status, 400, hash)
      }
    },
  )

  await t.test('all of a password counts, whatever it is made of', async (t) => {
    const long = 'x'.repeat(89)
    const one = await service.person({ password: `${long}a${'y'.repeat(10)}` })
    t.equal((await service.signIn(one.email, `${long}b${'y'.repeat(10)}`)).status, 400)
    const emoji = await service.person({ password: '🦊🦉🐝🦋🐞🐢🦔🐌' })
    t.ok(emoji.token)
    t.match(await service.signIn(one.email, 'x'.repeat(129)), {
      status: 400,
      body: { detail: 'Incorrect email or password' },
    })
  })
})

void test('more logins than can be hashed are turned away at once, and the others are served', async (t) => {
  const service = await startService(t, {}, { hashing: { running: 1, waiting: 1 } })
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => service.signIn(service.admin.email, service.admin.password)),
  )
  const served = answers.filter(({ status }) => status === 200)
  const refused = answers.filter(({ status }) => status === 503)
  t.ok(served.length >= 2)
  t.equal(served.length + refused.length, 8)
  t.match(refused[0], { body: { detail: 'Service Unavailable' }, headers: { 'retry-after': '1' } })
  t.equal((await service.signIn(service.admin.email, service.admin.password)).status, 200)
})
