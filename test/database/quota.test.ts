import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { bodyValues, inputsOfCreation } from '../../src/ownership/write/body-values.ts'
import { compileCreate } from '../../src/ownership/write/create.ts'
import { type Room, rowQuota } from '../../src/ownership/write/quota.ts'
import { reveal } from '../../src/ownership/owned-table.ts'
import { isAnswer } from '../support/answers.ts'
import { freshDatabase, needsPostgres } from '../support/database.ts'
import { randomBy } from '../support/random.ts'
import { papers } from '../support/papers.ts'
import { type Person, type Service, startService } from '../support/service.ts'
import { served } from '../support/until.ts'
import { volume } from '../support/volume.ts'

const FULL = 'The limit of rows for one user is reached'

const add = ({ call }: Service, as: Person, headers: Record<string, string> = {}) =>
  call('POST', '/papers/', { as, body: { title: 'x' }, headers })

const isFull = async (t: Test, service: Service, as: Person, message?: string) =>
  isAnswer(t, await add(service, as), 403, FULL, message)

const papersOf = async ({ rows }: Service, { id }: Person) =>
  (await rows(sql`select from papers where owner_id = ${id}`)).length

void test('creating a paper beyond MAX_ROWS_PER_USER is 403', async (t) => {
  const service = await startService(t, { MAX_ROWS_PER_USER: '5' })
  const { call, person } = service
  const [ada, bob] = [await person(), await person()]
  const answers = await Promise.all(Array.from({ length: 20 }, () => add(service, ada)))
  t.equal(answers.filter(({ status }) => status === 200).length, 5, 'twenty at once are not more')
  t.equal(answers.filter(({ status }) => status === 403).length, 15)
  await isFull(t, service, ada)
  t.equal((await add(service, bob)).status, 200, "nobody else's count")

  await t.test('deleting a paper makes room for another', async (t) => {
    const { body } = await call('GET', '/papers/', { as: ada })
    await call('DELETE', `/papers/${body.data[0].id}`, { as: ada })
    t.equal((await add(service, ada)).status, 200)
    await isFull(t, service, ada)
  })
  await t.test('at the limit, a repeated creation gets its first answer, a new one is 403', async (t) => {
    const { body } = await call('GET', '/papers/', { as: ada })
    await call('DELETE', `/papers/${body.data[0].id}`, { as: ada })
    const made = await add(service, ada, { 'idempotency-key': 'one' })
    t.equal(made.status, 200)
    isAnswer(t, await add(service, ada, { 'idempotency-key': 'one' }), 200, made.body)
    isAnswer(t, await add(service, ada, { 'idempotency-key': 'two' }), 403, FULL)
    t.equal(await papersOf(service, ada), 5)
  })
  await t.test('at the limit, papers can still be changed', async (t) => {
    const { body } = await call('GET', '/papers/', { as: ada })
    const changed = await call('PUT', `/papers/${body.data[0].id}`, { as: ada, body: { title: 'y' } })
    t.equal(changed.status, 200)
  })
})

void test('480 creations, 40 at a time, fill a limit of 450 exactly', async (t) => {
  const service = await startService(t, { MAX_ROWS_PER_USER: '450' })
  const ada = await service.person()
  for (let round = 0; round < 12; round++)
    await Promise.all(Array.from({ length: 40 }, () => add(service, ada)))
  t.equal(await papersOf(service, ada), 450)
  await isFull(t, service, ada)
})

void test('a row created in the same millisecond as a count is treated as created after it', async (t) => {
  const { db, close } = await freshDatabase()
  t.teardown(close)
  const { table, ownership } = reveal(papers)
  const create = compileCreate(table, ownership.fields)
  const owner = randomUUID()
  await db.execute(
    sql`insert into users (id, email, hashed_password) values (${owner}, 'ada@example.com', '')`,
  )
  await db.execute(
    sql`insert into papers (title, owner_id, created_at) values ('x', ${owner}, '2026-01-01T00:00:00.00145Z')`,
  )
  const given = bodyValues(inputsOfCreation(table, ownership.fields))({ title: 'y' })
  const added = (counted_at: string) =>
    db.run(create, { ...given, asker: owner, superuser: false, room: 1, counted_at })
  t.equal((await added('2026-01-01T00:00:00.0014+00:00')).length, 0, 'there was room for that one alone')
  t.equal((await added('2026-01-01T00:00:00.0016+00:00')).length, 1, 'it came before')
})

void test('rows that are added or deleted outside the process count towards the limit', async (t) => {
  const service = await startService(t, { MAX_ROWS_PER_USER: '450' })
  const ada = await service.person()
  t.equal((await add(service, ada)).status, 200)
  await service.rows(
    sql`insert into papers (title, owner_id) select 'x', ${ada.id} from generate_series(1, 449)`,
  )
  await isFull(t, service, ada)
  await service.rows(sql`delete from papers where title = 'x' and owner_id = ${ada.id}`)
  t.equal((await add(service, ada)).status, 200)
})

void test('an owner far from the limit is counted again after 900 rows, whoever adds rows meanwhile', async (t) => {
  const service = await startService(t, { MAX_ROWS_PER_USER: '10100' })
  const ada = await service.person()
  const addMany = (amount: number) => Promise.all(Array.from({ length: amount }, () => add(service, ada)))
  for (let round = 0; round < 9; round++) await addMany(50)
  await service.rows(
    sql`insert into papers (title, owner_id) select 'x', ${ada.id} from generate_series(1, 9000)`,
  )
  for (let round = 0; round < 14; round++) await addMany(50)
  t.equal(await papersOf(service, ada), 10_100)
  await isFull(t, service, ada)
})

void test('single rows, batches and repeated creations in any order fill the limit exactly', async (t) => {
  for (const most of [300, 10_050, 11_000]) {
    const { below, one: oneOf } = randomBy(most)
    const { rows, single, repeated, batch } = rowsInMemory(most)
    const steps = [single, repeated, () => batch(1 + below(1_000))]
    const isAdded = (step: () => Promise<unknown>) =>
      step().then(
        () => true,
        () => false,
      )
    for (let round = 0; round < 12; round++) {
      const step = oneOf(steps)
      for (let n = step === single ? below(1_000) : 1; n > 0; n--) if (!(await isAdded(step))) break
    }
    while (await isAdded(single));
    t.equal(rows(), most)
  }
})

/** A table of one owner, as the statements see it: what is tried is the quota's own arithmetic, over many thousand rows. */
function rowsInMemory(most: number) {
  let rows = 0
  const quota = rowQuota(most, async () => ({ count: Math.min(rows, most), at: String(rows) }))
  const since = ({ counted_at }: Room) => (counted_at === '-infinity' ? rows : rows - Number(counted_at))
  const added = (amount: number, hasRoom: boolean) => {
    if (hasRoom) rows += amount
    return hasRoom ? amount : undefined
  }
  const one = async (room: Room) => added(1, room.room === null || since(room) < room.room)
  return {
    rows: () => rows,
    single: () => quota.add('ada', { with: one, mayBeKnown: false }),
    repeated: () => quota.add('ada', { with: async () => 1, mayBeKnown: true }),
    batch: (amount: number) =>
      quota.addMany('ada', async ({ room }) => added(amount, rows + amount <= room!)),
  }
}

void test('adding a row to 100,000 does not count all of them', needsPostgres, async (t) => {
  const { connection, fill } = await volume(t)
  const service = await startService(t, {}, { connection })
  const ada = await service.person()
  await fill`drop index papers_search_index`
  await fill`insert into papers (title, owner_id) select 'x', ${ada.id} from generate_series(1, 99900)`
  await fill`vacuum analyze papers`
  const adds = () => served(() => add(service, ada))
  await adds()
  const read = async () => {
    await fill`select pg_stat_clear_snapshot(), pg_sleep(1.5)` // PostgreSQL updates its statistics once a second
    const [found] =
      await fill`select sum(idx_tup_read)::int as read from pg_stat_user_indexes where relname = 'papers'`
    return Number(found!.read)
  }
  const before = await read()
  for (let n = 0; n < 50; n++) t.equal((await adds()).status, 200)
  const each = ((await read()) - before) / 50
  t.ok(each < 1_000, `${each} entries of indexes are read for each`)
  for (let n = 0; n < 49; n++) await adds()
  const list = await served(() => service.call('GET', '/papers/?limit=1', { as: ada }))
  t.equal(list.body.count, 100_000)
  await isFull(t, service, ada)
})
