import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { type PgColumn, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import postgres, { type Sql } from 'postgres'
import { test } from 'tap'
import type { Database } from '../../src/database/connect.ts'
import { removal } from '../../src/database/upkeep/removal.ts'
import { users } from '../../src/database/tables.ts'
import { isAnswer } from '../support/answers.ts'
import { freshDatabase, needsPostgres } from '../support/database.ts'
import { databaseEnv, signIn, start, temporaryFolder } from '../support/process.ts'
import { type Person, startService } from '../support/service.ts'
import { createTables } from '../support/tables.ts'
import { served, until } from '../support/until.ts'
import { volume } from '../support/volume.ts'

const DELETED = { message: 'User deleted successfully' }
/** More than one statement can remove within its timeout. */
const MANY = 300_000

/** What is left of a user. */
const left = async (fill: Sql, { id }: Person) => {
  const [found] = await fill`
    select (select count(*) from idempotency_keys where user_id = ${id})::int as keys,
      (select count(*) from users where id = ${id})::int as users`
  return { keys: Number(found?.keys), users: Number(found?.users) }
}

/** Rows are removed in batches with pauses as long: a slow machine takes several times as long. */
const GONE_WITHIN_MS = 600_000

async function untilGone(fill: Sql, person: Person) {
  await until(async () => {
    const { keys, users } = await left(fill, person)
    return keys === 0 && users === 0
  }, GONE_WITHIN_MS)
}

void test(
  'a user with 300,000 rows can be deleted, by themselves and by a superuser',
  needsPostgres,
  async (t) => {
    const { connection, fill } = await volume(t)
    const service = await startService(t, {}, { connection })
    const { call, person, admin } = service
    const hoard = ({ id }: Person, many: number) => fill`
      insert into idempotency_keys (user_id, key, body, answer, version)
      select ${id}, n::text, '', '{}', '' from generate_series(1, ${many}::int) n`
    for (const isOwn of [true, false]) {
      const [hoarder, other] = [await person(), await person()]
      await hoard(hoarder, isOwn ? MANY : MANY / 10)
      await hoard(other, 3)
      const answer = isOwn
        ? await call('DELETE', '/users/me', { as: hoarder })
        : await call('DELETE', `/users/${hoarder.id}`, { as: admin })
      isAnswer(t, answer, 200, DELETED)
      // Other requests are repeated after a 503: only the deletion itself must answer in time.
      const ask: typeof call = (...what) => served(() => call(...what))
      const signIn = (email: string) => served(() => service.signIn(email, hoarder.password))
      await t.test('a deleted user can no longer be read, listed or signed in', async (t) => {
        const token = { as: hoarder }
        for (const path of ['/users/me', '/papers/', '/users/me/sessions'])
          t.equal((await ask('GET', path, token)).status, 401, path)
        t.equal((await ask('POST', '/papers/', { ...token, body: { title: 'x' } })).status, 401)
        t.equal((await ask('DELETE', '/users/me', token)).status, 401)
        isAnswer(t, await signIn(hoarder.email), 400, 'Incorrect email or password')
        t.equal((await signIn(`deleted:${hoarder.id}`)).status, 400)
        const byAdmin = { as: admin }
        t.equal((await ask('GET', `/users/${hoarder.id}`, byAdmin)).status, 404)
        t.equal((await ask('DELETE', `/users/${hoarder.id}`, byAdmin)).status, 404)
        const update = { ...byAdmin, body: { is_active: true, is_superuser: true } }
        t.equal((await ask('PATCH', `/users/${hoarder.id}`, update)).status, 404)
        t.equal((await ask('POST', `/password-recovery-html-content/${hoarder.email}`, byAdmin)).status, 404)
        const list = await ask('GET', '/users/?limit=1000', byAdmin)
        t.notOk(list.body.data.some(({ id }: Person) => id === hoarder.id))
        t.equal(list.body.count, list.body.data.length)
        for (const q of [hoarder.email, 'deleted:', hoarder.id])
          t.match((await ask('GET', `/users/?q=${q}`, byAdmin)).body, { data: [], count: 0 }, q)
      })
      await t.test('the address of a deleted user can sign up again', async (t) => {
        const { email, password } = hoarder
        t.match(await ask('POST', '/users/signup', { body: { email, password } }), { status: 200 })
        t.equal((await served(() => service.signIn(email, password))).status, 200)
      })
      await untilGone(fill, hoarder)
      t.equal((await left(fill, other)).keys, 3, "nobody else's are")
      await ask('DELETE', '/users/me', { as: other })
      await untilGone(fill, other)
    }
  },
)

void test('deleting a user removes their rows from every table', async (t) => {
  const service = await startService(t)
  const { call, person, rows } = service
  const ada = await person()
  await call('POST', '/papers/', { as: ada, body: { title: 'x' }, headers: { 'idempotency-key': 'one' } })
  await call('POST', `/password-recovery/${ada.email}`)
  isAnswer(t, await call('DELETE', '/users/me', { as: ada }), 200, DELETED)
  for (const [table, column] of [
    ['users', 'id'],
    ['papers', 'owner_id'],
    ['sessions', 'user_id'],
    ['one_time_tokens', 'user_id'],
    ['emails', 'user_id'],
    ['idempotency_keys', 'user_id'],
    ['known_networks', 'user_id'],
  ] as const) {
    const left = () => rows(sql.raw(`select from ${table} where ${column} = '${ada.id}'`))
    // Usually done before the answer, on a busy machine after it.
    await until(async () => (await left()).length === 0)
    t.same(await left(), [], table)
  }
})

void test('a deletion that kill -9 cut off is completed after a restart', needsPostgres, async (t) => {
  const env = { ...(await databaseEnv(t)), SECRET_KEY: 'only for tests, and long enough for that' }
  const first = await start(t, { folder: temporaryFolder(t), env })
  const account = { email: 'hoarder@example.com', password: 'correct horse battery' }
  const body = JSON.stringify(account)
  const json = { 'content-type': 'application/json' }
  await fetch(`${first.url}/api/v1/users/signup`, { method: 'POST', headers: json, body })
  const headers = await signIn(first, account.email, account.password)
  const db = postgres((env as Record<string, string>).MIGRATION_DATABASE_URL!, {
    max: 2,
    onnotice: () => undefined,
  })
  t.teardown(() => db.end({ timeout: 1 }))
  await db`insert into idempotency_keys (user_id, key, body, answer, version)
    select id, n::text, '', '{}', '' from users, generate_series(1, 100000) n where email = ${account.email}`
  // A locked row keeps the deletion from finishing before the process is killed.
  const holder = await db.reserve()
  await holder`begin`
  await holder`select from idempotency_keys order by key desc limit 1 for update`
  const answer = await fetch(`${first.url}/api/v1/users/me`, { method: 'DELETE', headers })
  t.same(await answer.json(), DELETED)
  first.child.kill('SIGKILL')
  await first.exited
  const [before] = await db`select count(*)::int as keys from idempotency_keys`
  t.ok(before!.keys > 0, 'there is something left to do')
  await holder`rollback`
  holder.release()
  await start(t, { folder: temporaryFolder(t), env })
  for (const deadline = Date.now() + GONE_WITHIN_MS; ;) {
    const [found] =
      await db`select (select count(*) from idempotency_keys)::int as keys, (select count(*) from users)::int as users`
    if (found!.keys === 0 && found!.users === 1) break
    if (Date.now() > deadline) throw new Error(`left: ${JSON.stringify(found)}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
})

void test('rows of a user who is marked as deleted are 404 for superusers', async (t) => {
  const { call, person, admin, rows } = await startService(t)
  const [gone, other] = [await person(), await person()]
  const create = async (as: Person) =>
    (await call('POST', '/papers/', { as, body: { title: 'On engines' } })).body.id as string
  const [left, kept] = [await create(gone), await create(other)]
  await rows(sql`update users set deleted_at = now() where id = ${gone.id}`)

  for (const query of ['', '?sort=title', '?sort=-title', '?q=engines', '?skip=0&limit=1']) {
    const { body } = await call('GET', `/papers/${query}`, { as: admin })
    t.match(body, { data: [{ id: kept }], count: 1, next_cursor: null }, query)
  }
  const headers = { 'if-match': '"any"' }
  for (const [method, request] of [
    ['GET', {}],
    ['PUT', { body: { title: 'Mine' } }],
    ['PUT', { body: { title: 'Mine' }, headers }],
    ['DELETE', {}],
  ] as const)
    isAnswer(
      t,
      await call(method, `/papers/${left}`, { as: admin, ...request }),
      404,
      'Paper not found',
      method,
    )
  t.strictSame(await rows(sql`select from papers where title = 'Mine'`), [], 'nothing was written')
})

const id = () => uuid().primaryKey().defaultRandom()
const owner = () =>
  uuid()
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

/** Two people, the first of whom is marked as deleted. */
async function goneAndOther(db: Database): Promise<[gone: string, other: string]> {
  const ids = [randomUUID(), randomUUID()] as [string, string]
  for (const id of ids) await db.insert(users).values({ id, email: `${id}@example.com`, hashed_password: '' })
  await db.update(users).set({ deleted_at: new Date() }).where(eq(users.id, ids[0]))
  return ids
}

const signal = new AbortController().signal

void test('rows of others that refer to a deleted user stay, with the reference set to null', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const notes = pgTable('notes', {
    id: id(),
    title: text(),
    owner_id: owner(),
    assignee_id: uuid().references(() => users.id, { onDelete: 'set null' }),
  })
  await createTables(db, { notes })
  const [gone, other] = await goneAndOther(db)
  await db.insert(notes).values([
    { title: 'of the other, assigned', owner_id: other, assignee_id: gone },
    { title: 'of the other', owner_id: other, assignee_id: other },
    { title: 'theirs', owner_id: gone, assignee_id: other },
  ])
  t.equal(await removal(db, [notes]).ofUser(gone, signal), true)
  const left = await db
    .select({ title: notes.title, assignee_id: notes.assignee_id })
    .from(notes)
    .orderBy(notes.title)
  t.strictSame(left, [
    { title: 'of the other', assignee_id: other },
    { title: 'of the other, assigned', assignee_id: null },
  ])
  t.equal(await db.$count(users, eq(users.id, gone)), 0)
})

void test('rows of a deleted user that refer to each other are removed, in any order of tables', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const projects = pgTable('projects', { id: id(), owner_id: owner() })
  const tasks = pgTable('tasks', {
    id: id(),
    owner_id: owner(),
    project_id: uuid().references(() => projects.id),
  })
  const [plans, steps] = [
    pgTable('plans', { id: id(), owner_id: owner(), first_id: uuid().references((): PgColumn => steps.id) }),
    pgTable('steps', { id: id(), owner_id: owner(), plan_id: uuid().references((): PgColumn => plans.id) }),
  ] as const
  const schema = { plans, projects, steps, tasks }
  await createTables(db, schema)
  const [gone, other] = await goneAndOther(db)
  for (const owner_id of [gone, other]) {
    const [project] = await db.insert(projects).values({ owner_id }).returning()
    await db.insert(tasks).values({ owner_id, project_id: project!.id })
    const [plan] = await db.insert(plans).values({ owner_id }).returning()
    const [step] = await db.insert(steps).values({ owner_id, plan_id: plan!.id }).returning()
    await db.update(plans).set({ first_id: step!.id }).where(eq(plans.id, plan!.id))
  }
  t.equal(await removal(db, Object.values(schema)).ofUser(gone, signal), true)
  for (const table of Object.values(schema))
    t.strictSame(await db.select({ owner_id: table.owner_id }).from(table), [{ owner_id: other }])
  t.equal(await db.$count(users, eq(users.id, gone)), 0)
})

void test('a table whose rows cannot be deleted does not stop the removal from others', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const [first, second] = ['first', 'second'].map((name) => pgTable(name, { id: id(), owner_id: owner() }))
  const schema = { first: first!, second: second! }
  await createTables(db, schema)
  const [gone] = await goneAndOther(db)
  for (const table of Object.values(schema)) await db.insert(table).values({ owner_id: gone })
  await db.execute(sql`create function refuse() returns trigger language plpgsql as $$
    begin raise exception 'not this one'; end $$`)
  await db.execute(sql`create trigger refuse before delete on first for each row execute function refuse()`)
  await t.rejects(removal(db, Object.values(schema)).ofUser(gone, signal), {
    cause: { message: 'not this one' },
  })
  t.strictSame([await db.$count(schema.first), await db.$count(schema.second)], [1, 0])
})

void test('a foreign key to users without a usable onDelete fails the start', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const refused = {
    name: 'TypeError',
    message: /^notes_assignee_id_users_id_fk: .*onDelete 'cascade', or 'set null'/,
  }
  const withoutAction = uuid().references(() => users.id)
  const neverNull = uuid()
    .notNull()
    .references(() => users.id, { onDelete: 'set null' })
  for (const assignee_id of [withoutAction, neverNull])
    t.throws(() => removal(db, [pgTable('notes', { id: id(), assignee_id })]), refused)
})
