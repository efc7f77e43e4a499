import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import { isUnavailable } from '../../src/database/faults.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { statement } from '../../src/database/statement.ts'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'

/** Longest wait of a caller, and longest time until a database that is back is used again. */
const ANSWER_MS = 2_000
const BACK_MS = 5_000

const readCounter = statement<object, { count: number }>(
  'read counter',
  () => sql`select count from counters where id = 1`,
)
const addOne = statement('add to counter', () => sql`update counters set count = count + 1`)
/** Drops the prepared statements of its connection, as a pooler may. */
const discardAll = statement('discard all', () => sql`discard all`)
const lockCounter = statement<object, { count: number }>(
  'lock counter',
  () => sql`select count from counters for update`,
)
const readNumber = statement<{ number: number }, { number: number }>(
  'read number',
  (v) => sql`select ${v.number}::int as number`,
)
/** Another text, and so another prepared statement. */
const readOther = statement<{ number: number }, { number: number }>(
  'read other number',
  (v) => sql`select ${v.number}::int as "number"`,
)

/** Connections for short statements; of four, one is for long ones. */
const SIZE = 3
const POOL_SIZE = 4

async function setUp(
  t: Test,
  way: (url: string) => Promise<string> = (url) => Promise.resolve(url),
  poolSize = POOL_SIZE,
) {
  const server = process.env.TEST_DATABASE_URL!
  const direct = await createDatabase(server)
  const url = await way(direct)
  const pool = connectPostgres({ url, migrationUrl: url, poolSize, timeoutMs: 1_000 })
  const other = postgres(direct, { max: SIZE + 1, onnotice: () => undefined })
  t.teardown(async () => {
    await pool.close()
    await other.end({ timeout: 1 })
    await dropDatabase(server, direct)
  })
  await other`create table counters (id integer primary key, count integer not null)`
  await other`insert into counters values (1, 0)`
  return { pool, other, ask: () => pool.db.run(readCounter, {}), add: () => pool.db.run(addOne, {}) }
}

/** How a call ended, and after how many milliseconds. */
async function outcome(call: () => PromiseLike<unknown>) {
  const start = performance.now()
  try {
    await call()
    return { ended: 'done', ms: performance.now() - start }
  } catch (error) {
    return { ended: isUnavailable(error) ? 'unavailable' : String(error), ms: performance.now() - start }
  }
}

async function untilDone(call: () => PromiseLike<unknown>) {
  const start = performance.now()
  while ((await outcome(call)).ended !== 'done' && performance.now() - start < BACK_MS * 2);
  return performance.now() - start
}

void test('fault 29: statements behind a held lock fail within 2 s', needsPostgres, async (t) => {
  const { pool, other, add, ask } = await setUp(t)
  await other.begin(async (holding) => {
    await holding`update counters set count = 0`
    const writes = await Promise.all(Array.from({ length: SIZE }, () => outcome(add)))
    for (const { ended, ms } of writes) {
      t.equal(ended, 'unavailable')
      t.ok(ms < ANSWER_MS, `after ${Math.round(ms)} ms`)
    }
    t.ok((await untilDone(ask)) < ANSWER_MS, 'the pool is back while the lock is still held')
    const deadline = performance.now() + ANSWER_MS
    const stillWaiting = () => other`
      select from pg_locks join pg_database on pg_database.oid = database
      where not granted and datname = current_database()`
    while ((await stillWaiting()).length > 0)
      if (performance.now() > deadline)
        throw new Error('statements wait in the database that nobody waits for')
  })
  t.same(await ask(), [{ count: 0 }], 'what was refused was not done later')
  t.match(pool.load?.(), { size: POOL_SIZE, running: 0, waiting: 0 })
})

void test('fault 29: a blocked connection gets no more statements', needsPostgres, async (t) => {
  const { pool, other } = await setUp(t)
  const read = () => pool.db.run(readCounter, {})
  const lock = () => pool.db.run(lockCounter, {})
  await Promise.all(Array.from({ length: SIZE * 4 }, read))
  await other.begin(async (holding) => {
    await holding`update counters set count = 7`
    const begun = performance.now()
    const order: string[] = []
    const held = outcome(lock).finally(() => order.push('held'))
    const waits = () => other`select from pg_locks where not granted`
    while ((await waits()).length === 0 || performance.now() - begun < 50);
    const one = () => outcome(read).finally(() => order.push('read'))
    const reads = await Promise.all(Array.from({ length: SIZE * 30 }, one))
    for (const { ended } of reads) t.equal(ended, 'done')
    t.equal((await held).ended, 'unavailable')
    t.equal(order.indexOf('held'), reads.length, 'none waits for the one that is held up')
  })
  t.same(await lock(), [{ count: 7 }])
})

void test('fault 29: a transaction that does not end is undone within 2 s', needsPostgres, async (t) => {
  const { pool, ask } = await setUp(t)
  const { ended, ms } = await outcome(() =>
    pool.db.transaction(async (open) => {
      await open.execute(sql`update counters set count = 9`)
      await open.execute(sql`select pg_sleep(30)`)
    }),
  )
  t.equal(ended, 'unavailable')
  t.ok(ms < ANSWER_MS, `after ${Math.round(ms)} ms`)
  t.same(await ask(), [{ count: 0 }], 'it is not half done')
  t.same(await pool.db.transaction((open) => open.execute(sql`select 1 as one`)), [{ one: 1 }])
})

void test(
  'fault 28: a connection lost in a transaction fails that transaction and nothing else',
  needsPostgres,
  async (t) => {
    const { pool, other, ask } = await setUp(t)
    for (let round = 0; round < 40; round += 1) {
      const { ended } = await outcome(() =>
        pool.db.transaction(async (open) => {
          await open.execute(sql`update counters set count = 9`)
          const rows = (await open.execute(sql`select pg_backend_pid() as pid`)) as {
            pid: number
          }[]
          await other`select pg_terminate_backend(${rows[0]!.pid})`
          // Before or after the loss is noticed, by one statement or by several at once.
          if (round % 4 > 0) await pause(round % 4)
          await Promise.all(Array.from({ length: 1 + (round % 3) }, () => open.execute(sql`select 1`)))
        }),
      )
      t.equal(ended, 'unavailable')
    }
    t.same(await ask(), [{ count: 0 }], 'nothing of it was kept')
    t.same(await pool.db.transaction((open) => open.execute(sql`select 1 as one`)), [{ one: 1 }])
  },
)

void test('fault 29: an exhausted pool refuses at once, and recovers', needsPostgres, async (t) => {
  const { pool } = await setUp(t, undefined, POOL_SIZE * SIZE) // of which SIZE are for long statements
  const ask = () => pool.db.execute(sql`select count from counters`)
  const slow = () => pool.db.execute(sql`select pg_sleep(0.6)`)
  // Connect first, as connecting counts towards the timeout of a statement.
  await Promise.all(Array.from({ length: SIZE }, ask))
  const slowOnes = Array.from({ length: SIZE }, () => outcome(slow))
  const late = await outcome(ask)
  t.equal(late.ended, 'unavailable')
  t.ok(late.ms < 1_000, `after ${Math.round(late.ms)} ms`)
  const crowd = Array.from({ length: 500 }, () => outcome(ask))
  t.ok((pool.load?.().waiting ?? 0) < 500, 'no more wait than could get their turn')
  const first = await Promise.race(crowd)
  t.ok(first.ms < 350, 'the rest is refused at once, and not after a wait')
  await Promise.all([...crowd, ...slowOnes])
  t.same(
    (await Promise.all(slowOnes)).map(({ ended }) => ended),
    Array.from({ length: SIZE }, () => 'done'),
    'what had a connection is not disturbed',
  )
  t.equal((await outcome(ask)).ended, 'done')

  const brief = async () => {
    const outcomes = await Promise.all(Array.from({ length: SIZE * 20 }, () => outcome(ask)))
    return outcomes.every(({ ended }) => ended === 'done')
  }
  // Three tries: a queue that is too long fails each time, a machine that stalls only once.
  t.ok((await brief()) || (await brief()) || (await brief()), 'a short queue is served')
})

void test('fault 29: a slow statement fails within 2 s', needsPostgres, async (t) => {
  const { pool, ask } = await setUp(t)
  const { ended, ms } = await outcome(() => pool.db.execute(sql`select pg_sleep(30)`))
  t.equal(ended, 'unavailable')
  t.ok(ms < ANSWER_MS, `after ${Math.round(ms)} ms`)
  t.equal((await outcome(ask)).ended, 'done')
})

void test(
  'fault 29: statements pipelined behind one that times out get their own answers',
  needsPostgres,
  async (t) => {
    const { pool, other } = await setUp(t, undefined, 1)
    const read = (number: number) => pool.db.run(readNumber, { number })
    const lock = () => pool.db.run(lockCounter, {})
    await Promise.all([lock(), read(0)])
    await other.begin(async (holding) => {
      await holding`update counters set count = 7`
      const held = outcome(lock)
      const behind = [1, 2, 3].map(read)
      t.equal((await held).ended, 'unavailable')
      t.strictSame(
        (await Promise.all(behind)).map(([row]) => row),
        [{ number: 1 }, { number: 2 }, { number: 3 }],
      )
    })
  },
)

void test('fault 29: long statements do not delay short ones', needsPostgres, async (t) => {
  const { pool, ask } = await setUp(t)
  await ask()
  const order: string[] = []
  const long = outcome(() => pool.db.execute(sql`select pg_sleep(0.5)`)).finally(() => order.push('long'))
  await Promise.all(Array.from({ length: SIZE * 30 }, ask)).finally(() => order.push('short'))
  t.equal((await long).ended, 'done')
  t.same(order, ['short', 'long'])
})

void test(
  'fault 37: after prepared statements were lost, no call gets the answer of another',
  needsPostgres,
  async (t) => {
    const { pool } = await setUp(t, undefined, 1)
    const ask = (number: number) => pool.db.run(number % 2 === 0 ? readNumber : readOther, { number })
    for (let round = 0; round < 20; round += 1) {
      await Promise.all([ask(0), ask(1)])
      await pool.db.run(discardAll, {})
      const answers = await Promise.allSettled([1, 2, 3, 4, 5].map(ask))
      for (const [index, answer] of answers.entries())
        if (answer.status === 'fulfilled') t.strictSame([...answer.value], [{ number: index + 1 }])
        else t.ok(isUnavailable(answer.reason), String(answer.reason))
      t.strictSame([...(await ask(6))], [{ number: 6 }], 'the next one is right')
    }
  },
)

void test(
  'fault 27: a database that refused or cut connections is used again within 5 s',
  needsPostgres,
  async (t) => {
    let proxy!: Awaited<ReturnType<typeof startProxy>>
    const { ask } = await setUp(t, async (url) => (proxy = await startProxy(t, url)).url)
    const refused = await outcome(ask)
    t.equal(refused.ended, 'unavailable')
    t.ok(refused.ms < ANSWER_MS)
    await proxy.open()
    t.ok((await untilDone(ask)) < BACK_MS, 'it comes by itself')

    await proxy.cut()
    for (let tries = 0; tries < 10; tries++) {
      const { ended, ms } = await outcome(ask)
      t.equal(ended, 'unavailable')
      t.ok(ms < ANSWER_MS)
    }
    await proxy.open()
    const back = await untilDone(ask)
    t.ok(back < BACK_MS, `back after ${Math.round(back)} ms`)
  },
)

void test('fault 27: while the database is silent, calls fail within 2 s', needsPostgres, async (t) => {
  let proxy!: Awaited<ReturnType<typeof startProxy>>
  const { ask } = await setUp(t, async (url) => {
    proxy = await startProxy(t, url)
    await proxy.open()
    return proxy.url
  })
  await Promise.all([ask(), ask(), ask()])
  proxy.silence()
  for (let rounds = 0; rounds < 3; rounds++) {
    const calls = await Promise.all(Array.from({ length: SIZE * 3 }, () => outcome(ask)))
    for (const { ended, ms } of calls) {
      t.equal(ended, 'unavailable')
      t.ok(ms < ANSWER_MS, `after ${Math.round(ms)} ms`)
    }
  }
  proxy.speak()
  const back = await untilDone(ask)
  t.ok(back < BACK_MS, `what was lost stays lost, and yet it is back after ${Math.round(back)} ms`)
})

void test('fault 28: a new connection does not query pg_catalog by itself', needsPostgres, async (t) => {
  const { ask } = await setUp(t, async (url) => {
    const proxy = await startProxy(t, url)
    await proxy.open()
    // postgres.js would query it by itself; if the connection broke meanwhile, the process would exit.
    proxy.silence(/pg_catalog/)
    return proxy.url
  })
  t.equal((await outcome(ask)).ended, 'done')
})

void test(
  'fault 28: a connection that breaks within an answer does not corrupt the next answer',
  needsPostgres,
  async (t) => {
    let proxy!: Awaited<ReturnType<typeof startProxy>>
    const { pool } = await setUp(t, async (url) => {
      proxy = await startProxy(t, url)
      await proxy.open()
      return proxy.url
    })
    const read = () => pool.db.run(readCounter, {})
    t.strictSame([...(await read())], [{ count: 0 }])
    proxy.cutBeforeTheEnd()
    t.equal((await outcome(read)).ended, 'unavailable')
    t.strictSame([...(await read())], [{ count: 0 }], 'a row, and nothing before it')
  },
)

const failAfterTwo = statement(
  'fail after two rows',
  () => sql`select 1 / (3 - n) from generate_series(1, 5) n`,
)

void test('fault 29: a statement that fails midway leaves later answers right', needsPostgres, async (t) => {
  const { pool } = await setUp(t, undefined, 1)
  await t.rejects(pool.db.run(failAfterTwo, {}))
  t.strictSame([...(await pool.db.run(readCounter, {}))], [{ count: 0 }])
})

void test('fault 28: connections that are lost under load do not leak', needsPostgres, async (t) => {
  const { pool, other } = await setUp(t)
  const own = () => other<{ pid: number }[]>`
    select pid from pg_stat_activity where datname = current_database() and application_name = 'groundwork'`
  for (let round = 0; round < 20; round += 1) {
    await untilDone(() => pool.db.run(readCounter, {}))
    // A new statement is prepared first, and postgres.js queues what is sent behind it.
    const novel = statement(
      `sleep ${round}`,
      () => sql`select ${sql.raw(String(round))} as round, pg_sleep(0.2)`,
    )
    const lost = [
      outcome(() => pool.db.run(novel, {})),
      ...Array.from({ length: 8 }, () => outcome(() => pool.db.run(readCounter, {}))),
    ]
    await pause(round % 5)
    for (const { pid } of await own()) await other`select pg_terminate_backend(${pid})`
    for (const { ended } of await Promise.all(lost)) t.match(ended, /^(done|unavailable)$/)
  }
  await pause(500)
  t.ok((await own()).length <= SIZE, 'no more connections than the pool has')
})

void test('fault 29: under load, requests that have begun are finished first', needsPostgres, async (t) => {
  const { pool } = await setUp(t, undefined, 1)
  const slow = statement('hold the connection', () => sql`select 1 as one, pg_sleep(0.2)`)
  const begin = statement('begin a request', () => sql`select 1 as one`, { isFirst: true })
  await pool.db.run(readCounter, {})
  const held = pool.db.run(slow, {})
  await pause(50) // no statement is sent behind one that takes so long
  const order: string[] = []
  const begun = Array.from({ length: 150 }, () =>
    outcome(() => pool.db.run(begin, {})).then((end) => (order.push('begun'), end)),
  )
  const further = outcome(() => pool.db.run(readCounter, {})).then((end) => (order.push('further'), end))
  t.equal((await further).ended, 'done', 'though the queue is full of others')
  await Promise.all([held, ...begun])
  t.equal(order.slice(50).indexOf('further'), 0, 'right after the 50 for which there was no room')
})

void test('a closed pool runs no statements and keeps no connections', needsPostgres, async (t) => {
  const { pool, other } = await setUp(t)
  const slow = statement('take a while', () => sql`select 1 as one, pg_sleep(0.1)`)
  const asked = Array.from({ length: 50 }, () => outcome(() => pool.db.run(slow, {})))
  await pause(50)
  await pool.close()
  for (const { ended } of await Promise.all(asked)) t.match(ended, /^(done|unavailable)$/)
  t.equal((await outcome(() => pool.db.run(readCounter, {}))).ended, 'unavailable')
  await pause(100)
  const open = await other`
    select from pg_stat_activity where datname = current_database() and application_name = 'groundwork'`
  t.equal(open.length, 0)
})

void test(
  'transactions can be nested, and one with a failed statement is rejected, not committed',
  needsPostgres,
  async (t) => {
    const { pool, ask } = await setUp(t)
    await pool.db.transaction(async (open) => {
      await open.execute(sql`update counters set count = 1`)
      await open
        .transaction(async (nested) => {
          await nested.execute(sql`update counters set count = 2`)
          throw new Error('undo this one')
        })
        .catch(() => undefined)
      await open.transaction((nested) => nested.execute(sql`update counters set count = count + 10`))
    })
    t.same(await ask(), [{ count: 11 }])
    await t.rejects(
      pool.db.transaction(async (open) => {
        await open.execute(sql`update counters set count = 99`)
        await open.execute(sql`select 1 / 0`).catch(() => undefined)
      }),
      /rolled back/,
    )
    t.same(await ask(), [{ count: 11 }])
  },
)

void test('a transaction keeps the AsyncLocalStorage context of its caller', needsPostgres, async (t) => {
  const { pool } = await setUp(t)
  const caller = new AsyncLocalStorage<string>()
  const seen = ['first', 'second'].map((name) =>
    caller.run(name, () =>
      pool.db.transaction(async (open) => {
        const before = caller.getStore()
        await open.execute(sql`select pg_sleep(0.1)`)
        return [before, caller.getStore()]
      }),
    ),
  )
  t.same(await Promise.all(seen), [
    ['first', 'first'],
    ['second', 'second'],
  ])
})
