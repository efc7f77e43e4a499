import type { Sql } from 'postgres'
import { test } from 'tap'
import { reaper } from '../../src/database/upkeep/expired.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { needsPostgres, pooled } from '../support/database.ts'
import { volume } from '../support/volume.ts'

/** Number of expired rows by table; each also has LIVE others. */
const OVER = {
  rate_limits: 1_000_000,
  sessions: 300_000,
  emails: 200_000,
  one_time_tokens: 100_000,
  known_networks: 100_000,
  idempotency_keys: 100_000,
}
const LIVE = 10

const USER = '00000000-0000-4000-8000-000000000001'

/** Adds that many rows to each table, expired a day ago or still for a day. */
async function add(fill: Sql, many: Record<keyof typeof OVER, number>, isOver: boolean) {
  const at = (days: number) => fill.unsafe(`now() - interval '${isOver ? days + 1 : days - 1} days'`)
  const kind = isOver ? 'over' : 'live'
  await fill`insert into rate_limits (key, forgotten_at, resumes_at)
    select ${kind} || n, ${at(0)}, ${at(0)} from generate_series(1, ${many.rate_limits}::int) n`
  await fill`insert into sessions (user_id, credentials_version, expires_at)
    select ${USER}, 0, ${at(0)} from generate_series(1, ${many.sessions}::int)`
  await fill`insert into emails (user_id, message, recipient, created_at, sent_at)
    select ${USER}, 'test', ${kind}, ${at(30)}, ${at(30)} from generate_series(1, ${many.emails / 2}::int)`
  await fill`insert into emails (user_id, message, recipient, created_at, parked_at)
    select ${USER}, 'test', ${kind}, ${at(90)}, ${at(90)} from generate_series(1, ${many.emails / 2}::int)`
  await fill`insert into one_time_tokens (user_id, purpose, slot, email, expires_at)
    select gen_random_uuid(), 'verify_email', 1, '', ${at(0)} from generate_series(1, ${many.one_time_tokens}::int)`
  await fill`insert into known_networks (user_id, network, signed_in_at)
    select ${USER}, ${kind} || n, ${at(90)} from generate_series(1, ${many.known_networks}::int) n`
  await fill`insert into idempotency_keys (user_id, key, body, answer, version, created_at)
    select ${USER}, ${kind} || n, '', '{}', '', ${isOver ? at(1) : fill`now()`} from generate_series(1, ${many.idempotency_keys}::int) n`
}

async function counts(fill: Pick<Sql, 'unsafe'>) {
  const tables = Object.keys(OVER).map((table) => `(select count(*) from ${table})::int as ${table}`)
  const [found] = await fill.unsafe(`select ${tables.join()}`)
  return Object.fromEntries(Object.entries(found!))
}

const NONE = Object.fromEntries(Object.keys(OVER).map((table) => [table, 0]))
const EACH = Object.fromEntries(Object.keys(OVER).map((table) => [table, LIVE])) as typeof OVER

void test('two replicas at once remove 1,800,000 expired rows and no others', needsPostgres, async (t) => {
  const { connection, fill, url } = await volume(t)
  await connection.migrate()
  await add(fill, OVER, true)
  await add(fill, EACH, false)
  await fill`insert into users (id, email, hashed_password, registered_from, created_at) values
    (${USER}, 'old@example.com', '', '203.0.113.7', now() - interval '91 days'),
    (gen_random_uuid(), 'new@example.com', '', '203.0.113.7', now())`

  const replica = connectPostgres({ url: pooled(url), migrationUrl: url, poolSize: 2 })
  t.teardown(() => replica.close())
  const turns = [connection, replica].map(({ db }) => reaper(db, []))
  const begun = performance.now()
  for (let turn = 0; turn < 10; turn++) {
    await Promise.all(turns.map((reap) => reap()))
    if (Object.values(await counts(fill)).every((count) => count === LIVE)) break
  }
  t.same(await counts(fill), EACH)
  t.comment(`figure: 1,800,000 rows were removed in ${Math.round((performance.now() - begun) / 1000)} s`)
  t.same(await fill`select email, registered_from from users order by email desc`, [
    { email: 'old@example.com', registered_from: null },
    { email: 'new@example.com', registered_from: '203.0.113.7' },
  ])
})

void test(
  'a locked table does not stop the clean-up of others, and is cleaned the next time',
  needsPostgres,
  async (t) => {
    const { connection, fill } = await volume(t)
    await connection.migrate()
    await add(fill, EACH, true)
    const reap = reaper(connection.db, [])
    const failures: string[] = []
    const turn = () => reap(undefined, (_error, chore) => failures.push(chore))
    await fill.begin(async (holding) => {
      await holding`lock table rate_limits in access exclusive mode`
      await turn()
      t.same(failures, ['limits'])
      t.same(await counts(holding), { ...NONE, rate_limits: LIVE }, 'all others are done')
    })
    await turn()
    t.same(await counts(fill), NONE)
  },
)

void test('expired rows are found by an index, in every table', needsPostgres, async (t) => {
  const { connection, fill } = await volume(t)
  await connection.migrate()
  // No row has expired: a sequential scan would read all of them.
  await add(fill, { ...EACH, rate_limits: 100_000, sessions: 100_000, emails: 100_000 }, false)
  await fill`analyze`
  await reaper(connection.db, [])()
  await fill`select pg_stat_clear_snapshot()`
  const [read] = await fill`select sum(seq_tup_read)::int as rows from pg_stat_user_tables`
  t.ok(read!.rows < 100_000, `${read!.rows} rows were read one after another`)
})
