import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { test } from 'tap'
import { freshDatabase, onPostgres, createDatabase, dropDatabase } from '../support/database.ts'
import { createPapers } from '../support/papers.ts'
import { preparePages } from '../../src/ownership/page.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { users } from '../../src/database/tables.ts'

/** What a program does that knows nothing of counts. */
type Run = (statement: string) => Promise<Record<string, unknown>[]>

const COUNTS = ['papers', 'users'].map(
  (table) => `(select count(*) from ${table})::int as ${table},
    (select sum(delta) from row_counts where table_name = '${table}')::int as ${table}_summed`,
)

void test('the count that writes maintain', async (t) => {
  const { db, migrate, close } = await freshDatabase()
  t.teardown(close)
  await migrate()
  const run: Run = async (statement) => {
    const result: unknown = await db.execute(sql.raw(statement))
    return Array.isArray(result) ? result : (result as { rows: Record<string, unknown>[] }).rows
  }
  const agrees = async (what: string, expected?: { papers: number; users: number }) => {
    const [counts] = await run(`select ${COUNTS.join()}`)
    t.same([counts!.papers_summed, counts!.users_summed], [counts!.papers, counts!.users], what)
    if (expected) t.match(counts, expected, what)
  }
  const ids = Array.from({ length: 4 }, () => randomUUID())
  const values = ids.map((id, n) => `('${id}', '${n}@example.com', '')`).join()

  await agrees('nothing yet', { papers: 0, users: 0 })
  await run(`insert into users (id, email, hashed_password) values ${values}`)
  await run(
    `insert into papers (title, owner_id) select n::text, (array[${ids.map((id) => `'${id}'`).join()}]::uuid[])[1 + n % 4] from generate_series(1, 40) n`,
  )
  await agrees('many rows of one statement', { papers: 40, users: 4 })
  await run(
    `insert into users (email, hashed_password) values ('0@EXAMPLE.com', ''), ('new@example.com', '') on conflict do nothing`,
  )
  await agrees('a row that was there is none', { papers: 40, users: 5 })
  await run(`update papers set title = title || '!'`)
  await run(`delete from papers where false`)
  await agrees('changes change nothing', { papers: 40, users: 5 })
  await run(`delete from users where id = '${ids[0]}'`)
  await agrees('what goes with its owner', { papers: 30, users: 4 })
  await run(`with gone as (delete from papers where owner_id = '${ids[1]}' returning owner_id)
    insert into papers (title, owner_id) select 'again', owner_id from gone limit 3`)
  await agrees('both in one statement', { papers: 23, users: 4 })
  await t.rejects(
    run(`insert into papers (title, owner_id) values ('x', '${ids[1]}'), ('y', '${ids[0]}')`),
    'refused',
  )
  await agrees('what is refused is not counted', { papers: 23, users: 4 })
  await db
    .transaction(async (transaction) => {
      await transaction.execute(sql.raw(`delete from users`))
      throw new Error('no')
    })
    .catch(() => undefined)
  await agrees('nor is what is taken back', { papers: 23, users: 4 })
  // One of fifty sums up what there is, by chance: of so many, at least one does.
  for (let n = 0; n < 1_000; n++) await run(`insert into papers (title, owner_id) values ('x', '${ids[1]}')`)
  await agrees('one by one', { papers: 1_023, users: 4 })
  const [live] = await run(`select count(*)::int as count from row_counts`)
  t.ok((live!.count as number) < 1_000, 'which are summed up on the way')
  await run(`delete from row_counts where table_name = 'users'`)
  const { data, count } = await preparePages(db, users)({ limit: 2 })
  t.same([data.length, count], [2, 4], 'where nothing has summed them up, rows are counted')
  await run(`select maintain_count('users')`)
  await run(`truncate papers`)
  await agrees('after TRUNCATE', { papers: 0, users: 4 })
  await run(`insert into papers (title, owner_id) values ('x', '${ids[1]}')`)
  await run(`truncate users cascade`)
  await agrees('and of what hangs on it', { papers: 0, users: 0 })
})

void test('the count stays exact while many write at once', { skip: !onPostgres }, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const { db, migrate, close } = connectPostgres({ url, migrationUrl: url, poolSize: 1 })
  await migrate()
  await createPapers(db)
  await close()
  const client = postgres(url, { max: 16, onnotice: () => undefined })
  t.teardown(async () => {
    await client.end()
    await dropDatabase(server, url)
  })
  const agrees = async (round: number) => {
    const [counts] = await client.unsafe(`select ${COUNTS.join()}`)
    t.same([counts!.papers_summed, counts!.users_summed], [counts!.papers, counts!.users], `round ${round}`)
  }
  const pick = (n: number) => Math.floor(Math.random() * n)
  const user = async () => {
    const [row] =
      await client`insert into users (email, hashed_password) values (${`${randomUUID()}@example.com`}, '') returning id`
    return row!.id as string
  }
  /** Whatever may go wrong for a single writer: its owner is gone, it takes its work back, it is refused. */
  const failures = new Map<string, number>()
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work()
    } catch (error) {
      const code = String((error as { code?: string }).code)
      failures.set(code, (failures.get(code) ?? 0) + 1)
    }
  }

  for (let round = 0; round < 30; round++) {
    const owners = await Promise.all(Array.from({ length: 6 }, user))
    const owner = () => owners[pick(owners.length)]!
    const insert = () => client`insert into papers (title, owner_id) values ('x', ${owner()})`
    const works = [
      insert,
      insert,
      insert,
      () =>
        client`insert into papers (title, owner_id) select 'many', ${owner()} from generate_series(1, ${pick(20)}::integer)`,
      () =>
        client`delete from papers where id in (select id from papers limit ${pick(10)} for update skip locked)`,
      () => client`delete from users where id = ${owner()}`,
      user,
      () =>
        client.begin(async (transaction) => {
          await transaction`insert into papers (title, owner_id) values ('x', ${owner()})`
          await transaction`delete from users where id = ${owner()}`
          await transaction`insert into users (email, hashed_password) values (${`${randomUUID()}@example.com`}, '')`
          if (pick(2)) throw new Error('taken back')
        }),
      () =>
        client.begin('isolation level serializable', async (transaction) => {
          await transaction`insert into papers (title, owner_id) values ('x', ${owner()})`
          await transaction`delete from papers where owner_id = ${owner()}`
        }),
    ]
    const writing = Array.from({ length: 120 }, () => attempt(works[pick(works.length)]!))
    if (round % 5 === 4) writing.push(attempt(() => client`truncate papers`))
    await Promise.all(writing)
    await agrees(round)
  }
  t.comment(`refused: ${JSON.stringify(Object.fromEntries(failures))}`)
  t.notOk(failures.has('42501') || failures.has('0A000'))

  // One that has written and does nothing more keeps nobody waiting.
  const id = await user()
  const idle = await client.reserve()
  await idle`begin`
  await idle`insert into papers (title, owner_id) select 'idle', ${id} from generate_series(1, 5)`
  await idle`delete from papers where title = 'idle'`
  const others = Array.from(
    { length: 300 },
    () => client`insert into papers (title, owner_id) values ('x', ${id})`,
  )
  await Promise.all(others)
  await agrees(100)
  await idle`commit`
  idle.release()
  await agrees(101)

  await t.rejects(
    client.begin('isolation level repeatable read', (transaction) => transaction`truncate papers`),
    { code: '0A000' },
    'an older snapshot can’t take all out',
  )
  await agrees(102)
})
