import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import { adopt } from '../../src/adopt/adopt.ts'
import { adoptionFault } from '../../src/adopt/faults.ts'
import {
  ROWS,
  SCHEMA,
  type TemplateDatabase,
  expected,
  ormStatements,
  ownTables,
  templateDatabase,
} from '../adopt/support/template.ts'
import { startPostgres } from '../support/postgres.ts'
import { type Running, launch, temporaryFolder } from '../support/process.ts'
import { mayMount, mountDisk } from '../support/small-disk.ts'
import { ROUNDS } from './support/scene.ts'

const MORE_ITEMS = 10_000

const command = (t: Test, { url }: TemplateDatabase) =>
  launch(t, {
    folder: temporaryFolder(t),
    env: { DATABASE_URL: url, LOG_LEVEL: 'warn' },
    script: 'scripts/adopt.ts',
    args: ['--rename'],
  })

const linesOf = (running: Running) => running.output().split('\n').length - 1

void test('an adoption that is killed', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const more = `insert into item (id, title, owner_id, created_at)
    select gen_random_uuid(), md5(n::text), 'd93b832a-394c-4fdf-add9-fee1b7ceac1b', now() from generate_series(1, ${MORE_ITEMS}) n`

  await t.test('fault 32: at any moment, is done, or not begun', async (t) => {
    const whole = await command(t, await templateDatabase(t, more, server.url))
    t.equal(await whole.exited, 0)
    const lines = linesOf(whole)

    const ends = { done: 0, 'not begun': 0, other: 0 }
    for (let round = 0; round < ROUNDS; round += 1) {
      const database = await templateDatabase(t, more, server.url)
      const running = await command(t, database)
      // After one of its lines, the last one too, and some of what follows.
      const after = Math.ceil(Math.random() * lines)
      while (linesOf(running) < after && running.child.exitCode === null) await pause(1)
      await pause(Math.random() * 30)
      running.child.kill('SIGKILL')
      await running.exited
      await untilAlone(database)
      ends[await endOf(database)] += 1
      t.equal(await (await command(t, database)).exited, 0, 'it can be run again')
      t.equal(await endOf(database), 'done')
    }
    t.equal(ends.other, 0)
    t.ok(ends['not begun'] > 0, 'some were killed in the middle')
    t.comment(
      `figure: fault 32, adoption: ${ROUNDS} kills, ${ends['not begun']} not begun, ${ends.done} done`,
    )
  })
})

/** Resolves when the server has noticed that the process is gone. */
async function untilAlone({ rows }: TemplateDatabase) {
  const others = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`
  while ((await rows(others)).length > 0) await pause(20)
}

/** Not begun: the template's backend would go on, as its statements run on all of its rows, and nothing of ours is there. */
async function endOf({ rows }: TemplateDatabase): Promise<'done' | 'not begun' | 'other'> {
  const count = async (table: string) => {
    const [found] = await rows<{ count: number }>(`select count(*)::int from ${table}`)
    return found?.count
  }
  const [tables] = await rows<{ names: string | null; others: number }>(`
    select string_agg(relname, ',' order by relname) filter (where relname in ('user', 'item', 'users', 'items', 'template_user', 'template_item')) as names,
      count(*)::int as others
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`)
  const items = expected.items.length + MORE_ITEMS
  if (tables?.names === 'item,user' && tables.others === 3) {
    for (const statement of ormStatements.filter((text) =>
      text.startsWith('SELECT count(*) AS count_1 FROM'),
    ))
      if (!statement.includes('%(')) await rows(statement)
    return (await count('item')) === items && (await count('"user"')) === 20 ? 'not begun' : 'other'
  }
  if (tables?.names !== 'items,template_item,template_user,users') return 'other'
  return (await count('items')) === items && (await count('users')) === 20 ? 'done' : 'other'
}

/** An empty server takes 40 MB, and what is written ahead 64 at most; these rows 15, and an adoption four times that. */
const DISK_MB = 150
const ITEMS = 100_000

void test(
  'fault 30: on a disk without room an adoption changes nothing, and says so',
  mayMount,
  async (t) => {
    const folder = join(mountDisk(t, DISK_MB), 'postgres')
    mkdirSync(folder)
    const server = await startPostgres({ max_wal_size: '64MB', min_wal_size: '32MB' }, folder)
    const sql = postgres(server.url, { max: 1, onnotice: () => undefined })
    t.teardown(async () => {
      await sql.end({ timeout: 1 })
      await server.stop()
    })
    await sql.unsafe(SCHEMA + ROWS)
    await sql.unsafe(`insert into item (id, title, description, owner_id, created_at)
    select gen_random_uuid(), md5(n::text), md5(n::text) || md5(n::text), 'd93b832a-394c-4fdf-add9-fee1b7ceac1b', now() from generate_series(1, ${ITEMS}) n`)
    await sql`checkpoint`

    const options = { dryRun: false, rename: true, bridge: false, bridgeOff: false, tokenDays: 8 }
    const error: unknown = await adopt(server.url, ownTables, options, () => undefined).catch(
      (error: unknown) => error,
    )
    t.match(
      adoptionFault(error, undefined),
      /^Nothing was adopted: the database's disk is full; --dry-run says/,
    )
    t.strictSame([...(await sql`select count(*)::int from item`)], [{ count: ITEMS + 18 }])
    t.strictSame([...(await sql`select to_regclass('users') as users`)], [{ users: null }])
  },
)
