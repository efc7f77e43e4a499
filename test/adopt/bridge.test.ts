import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import postgres, { type TransactionSql } from 'postgres'
import { test } from 'tap'
import { refusesToken } from '../support/answers.ts'
import { needsPostgres } from '../support/database.ts'
import {
  type TemplateDatabase,
  expected,
  ormStatements,
  serviceOn,
  templateDatabase,
} from './support/template.ts'

/** A statement of the template's ORM with values in place of its parameters, and how many rows it touched. */
async function send({ sql }: TemplateDatabase, begins: string, values: Record<string, unknown>) {
  const statement = ormStatements.find(
    (text) => text.startsWith(begins) && names(text).every((name) => name in values),
  )
  if (statement === undefined) throw new Error(`the ORM sends none that begins ${begins}`)
  const given: unknown[] = []
  const text = statement.replaceAll(/%\((\w+)\)s/g, (_, name: string) => `$${given.push(values[name])}`)
  const rows = await sql.unsafe<Record<string, unknown>[]>(text, given as never[])
  return { rows: [...rows], count: rows.count }
}

const names = (text: string) => [...text.matchAll(/%\((\w+)\)s/g)].map(([, name]) => name!)

const ADA = expected.users[0]!
const HASH = '$2b$04$abcdefghijklmnopqrstuuWCPpcVHvCZD6eGhuQYCc2rKD6fWgSHG'

/** Resolves when another session waits for a lock. */
async function untilItWaits(sql: TransactionSql) {
  for (;;) {
    const [waiting] = await sql`
      select from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`
    if (waiting) return
    await pause(20)
  }
}

async function bridged(t: Parameters<typeof templateDatabase>[0]) {
  const database = await templateDatabase(t)
  await database.adopt({ bridge: true })
  return { database, service: await serviceOn(t, database) }
}

void test('over the bridge, the backend of the template', needsPostgres, async (t) => {
  const { database, service } = await bridged(t)
  const { call, admin } = service

  await t.test('reads what is there', async (t) => {
    const byEmail = await send(database, 'SELECT "user".email,', { email_1: ADA.email })
    t.match(byEmail.rows, [{ id: ADA.id, email: ADA.email, is_active: true, full_name: 'Argon 0' }])
    const own = await send(database, 'SELECT item.title AS', { param_1: ADA.id })
    t.equal(own.count, 4)
    t.strictSame((await send(database, 'SELECT count(*) AS count_1 FROM item;', {})).rows, [
      { count_1: '18' },
    ])
    t.strictSame((await send(database, 'SELECT count(*) AS count_1 FROM "user"', {})).rows, [
      { count_1: '20' },
    ])
    const page = await send(database, 'SELECT item.title, item.description', {
      owner_id_1: ADA.id,
      param_1: 2,
      param_2: 1,
    })
    t.equal(page.count, 2)
  })

  await t.test('adds a user and an item, which are here with all that they need', async (t) => {
    const user = {
      id: randomUUID(),
      email: 'new@example.com',
      is_active: true,
      is_superuser: false,
      full_name: 'New',
    }
    await send(database, 'INSERT INTO "user"', { ...user, hashed_password: HASH, created_at: new Date() })
    const item = {
      id: randomUUID(),
      title: 'Of the bridge',
      description: null,
      owner_id: user.id,
      created_at: null,
    }
    await send(database, 'INSERT INTO item', item)
    const seen = await call('GET', `/users/${user.id}`, { as: admin })
    t.match(seen.body, { ...user, is_verified: false, created_at: /^20/ })
    t.match((await call('GET', `/items/${item.id}`, { as: admin })).body, {
      title: 'Of the bridge',
      created_at: /^20/,
    })
  })

  await t.test('sees what is added here', async (t) => {
    const grace = await service.person()
    const { rows } = await send(database, 'SELECT "user".email AS', { pk_1: grace.id })
    t.match(rows, [{ user_email: grace.email }])
    const { body } = await call('POST', '/items/', { as: grace, body: { title: 'Of the service' } })
    t.match((await send(database, 'SELECT item.title, item', { pk_1: body.id })).rows, [
      { title: 'Of the service' },
    ])
  })

  await t.test('changes a name, and nobody is signed out', async (t) => {
    const grace = await service.person()
    const changed = await send(database, 'UPDATE "user" SET full_name', {
      full_name: 'G. H.',
      user_id: grace.id,
    })
    t.equal(changed.count, 1)
    t.match((await call('GET', '/users/me', { as: grace })).body, { full_name: 'G. H.' })
  })

  await t.test('changes a password, which ends the sessions and links of its user here', async (t) => {
    const grace = await service.person()
    const token = await service.resetToken(grace.email)
    const changed = await send(database, 'UPDATE "user" SET hashed_password', {
      hashed_password: HASH,
      user_id: grace.id,
    })
    t.equal(changed.count, 1)
    refusesToken(t, await call('GET', '/users/me', { as: grace }))
    const body = { token, new_password: 'another horse battery' }
    t.equal((await call('POST', '/reset-password/', { body })).status, 400)
  })

  await t.test('changes an address, which is to be verified here', async (t) => {
    const grace = await service.person()
    await database.sql`update users set is_verified = true where id = ${grace.id}`
    await send(database, 'UPDATE "user" SET email', { email: 'moved@example.com', user_id: grace.id })
    t.match((await call('GET', '/users/me', { as: grace })).body, {
      email: 'moved@example.com',
      is_verified: false,
    })
  })

  await t.test('deactivates a user, whose sessions and keys stay ended', async (t) => {
    const grace = await service.person()
    const body = { name: 'cli', permissions: ['items:read'] }
    await call('POST', '/users/me/api-keys', { as: grace, body })
    for (const is_active of [false, true])
      await database.sql`update "user" set is_active = ${is_active} where id = ${grace.id}`
    refusesToken(t, await call('GET', '/users/me', { as: grace }))
    t.strictSame(await database.rows(`select from api_keys where user_id = '${grace.id}'`), [])
  })

  await t.test('takes back nothing that is changed here meanwhile', async (t) => {
    const grace = await service.person()
    const other = postgres(database.url, { max: 1 })
    t.teardown(() => other.end({ timeout: 1 }))
    const renamed = await other.begin(async (here) => {
      await here`select from users where id = ${grace.id} for update`
      const values = { full_name: 'Late', user_id: grace.id }
      const late = send(database, 'UPDATE "user" SET full_name', values)
      await untilItWaits(here)
      await here`update users set hashed_password = ${HASH} where id = ${grace.id}`
      return { late }
    })
    await renamed.late
    const [row] = await database.rows(`select full_name, hashed_password from users where id = '${grace.id}'`)
    t.strictSame(row, { full_name: 'Late', hashed_password: HASH })
  })

  await t.test('changes and deletes an item', async (t) => {
    const item = expected.items.find(({ title }) => title === 'of Twice')
    t.equal((await send(database, 'UPDATE item SET title', { title: 'Renamed', item_id: item!.id })).count, 1)
    t.match((await call('GET', `/items/${item!.id}`, { as: admin })).body, { title: 'Renamed' })
    t.equal((await send(database, 'DELETE FROM item', { id: item!.id })).count, 1)
    t.equal((await call('GET', `/items/${item!.id}`, { as: admin })).status, 404)
    const own = await send(database, 'DELETE FROM item', { owner_id_1: expected.users[1]!.id })
    t.equal(own.count, 4)
  })

  await t.test('deletes a user, with all that is theirs', async (t) => {
    const grace = await service.person()
    const { body } = await call('POST', '/items/', { as: grace, body: { title: 'Hers' } })
    t.equal((await send(database, 'DELETE FROM "user"', { id: grace.id })).count, 1)
    refusesToken(t, await call('GET', '/users/me', { as: grace }))
    t.equal((await call('GET', `/items/${body.id}`, { as: admin })).status, 404)
  })
})

void test('every statement of the ORM runs over the bridge', needsPostgres, async (t) => {
  const { database } = await bridged(t)
  const values: Record<string, unknown> = {
    id: randomUUID(),
    email_1: ADA.email,
    full_name: null,
    hashed_password: HASH,
    is_active: true,
    is_superuser: false,
    created_at: null,
    title: 'T',
    description: null,

    pk_1: ADA.id,
    user_id: ADA.id,
    owner_id: ADA.id,
    owner_id_1: ADA.id,
    item_id: expected.items[0]!.id,
  }
  for (const statement of ormStatements) {
    const param_1 = statement.includes('param_1)s::UUID') ? ADA.id : 10
    const email = `${randomUUID()}@example.com`
    const sent = await send(database, statement, { ...values, email, param_1, param_2: 0 })
    t.ok(sent.count >= 0, statement)
  }
})

void test(
  'the role of the template has the same rights over the bridge, and no others here',
  needsPostgres,
  async (t) => {
    const role = `reader_${randomUUID().slice(0, 8)}`
    const database = await templateDatabase(
      t,
      `create role ${role}; grant select, update on "user" to ${role}`,
    )
    t.teardown(async () => {
      await database.sql.unsafe(`reset role; drop owned by ${role}; drop role ${role}`)
    })
    await database.adopt({ bridge: true })
    await database.sql.unsafe(`set role ${role}`)
    const changed = await send(database, 'UPDATE "user" SET full_name', { full_name: 'Ada', user_id: ADA.id })
    t.equal(changed.count, 1)
    await t.rejects(send(database, 'DELETE FROM "user"', { id: ADA.id }), { code: '42501' })
    await t.rejects(database.rows('select from users'), { code: '42501' })
    await t.rejects(
      database.rows(
        `create temporary view "user" as select 1 as id;
         create trigger own instead of insert on pg_temp."user" for each row execute function public.write_template_user()`,
      ),
      { code: '42501', message: /function/ },
      'nor what writes for the views',
    )
  },
)

void test(
  'over the bridge nobody takes the address of another in another spelling of its domain',
  needsPostgres,
  async (t) => {
    const { database, service } = await bridged(t)
    const email = 'eve@exämple.org'
    const person = await service.person({ email: 'eve@xn--exmple-cua.org' })
    const user = {
      full_name: null,
      hashed_password: HASH,
      is_active: true,
      is_superuser: false,
      created_at: null,
    }
    const insert = 'INSERT INTO "user"'
    await t.rejects(send(database, insert, { ...user, id: randomUUID(), email }), { code: '23514' })
    await t.rejects(database.sql`update "user" set email = ${email} where id = ${ADA.id}`, { code: '23514' })
    const old = expected.users.find(({ email }) => email === 'info@exämple.com')!
    t.equal((await database.sql`update "user" set full_name = 'Info' where id = ${old.id}`).count, 1)
    t.equal((await service.call('GET', '/users/me', { as: person })).status, 200)
  },
)

void test('the bridge goes with --bridge-off, and comes back with --bridge', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  const lines = await database.adopt({ bridge: true })
  t.match(lines.join('\n'), "views under the template's names are made")
  t.match(await database.adopt({ bridgeOff: true }), [/was adopted at/, 'The bridge is gone.'])
  await t.rejects(database.rows('select from "user"'), { code: '42P01' })
  t.match(await database.adopt({ bridge: true }), [/was adopted at/, 'The bridge is there.'])
  await database.adopt({ bridge: true })
  t.strictSame(await database.rows('select count(*)::int from item'), [{ count: 18 }])
})
