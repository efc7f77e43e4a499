import { test } from 'tap'
import { oneAtATime } from '../../src/database/one-at-a-time.ts'
import { needsPostgres } from '../support/database.ts'
import { startService } from '../support/service.ts'
import { served } from '../support/until.ts'
import { volume } from '../support/volume.ts'

void test(
  '60 concurrent searches by a superuser use one connection and hold up nobody else',
  needsPostgres,
  async (t) => {
    const { connection, fill } = await volume(t)
    const { call, admin, person } = await startService(t, {}, { connection })
    const other = await person()
    const search = () =>
      Promise.all(Array.from({ length: 60 }, () => call('GET', '/papers/?q=engine', { as: admin })))
    t.strictSame(new Set((await search()).map(({ status }) => status)).has(200), true)

    // No search can proceed until the lock is released.
    await fill.begin(async (sql) => {
      await sql`lock table papers`
      const searches = search()
      const seen = { all: false }
      void searches.then(() => (seen.all = true))
      let most = 0
      while (!seen.all) {
        const [found] = await sql<{ waiting: number }[]>`
          select count(*)::integer as waiting from pg_locks where relation = 'papers'::regclass and not granted`
        most = Math.max(most, found!.waiting)
        t.equal((await call('GET', '/users/me', { as: other })).status, 200)
      }
      // A cancelled search may still be waiting when the next one comes.
      t.ok(most >= 1 && most <= 2, `${most}`)
      for (const { status } of await searches) t.ok([429, 503].includes(status), `${status}`)
    })
    // A cancelled search may hold it up for a moment.
    t.equal((await served(() => call('GET', '/papers/?q=engine', { as: admin }))).status, 200)
  },
)

void test('tasks of one key run one after another, tasks of other keys in parallel', async (t) => {
  const inTurn = oneAtATime()
  const done: string[] = []
  const first = gate()
  const all = [
    inTurn('a', async () => (await first.opened, done.push('first'))),
    inTurn('a', async () => done.push('second')),
    inTurn('b', async () => done.push('other')),
  ]
  await all[2]
  first.open()
  await Promise.all(all)
  t.strictSame(done, ['other', 'first', 'second'])
})

void test('a task is refused at once if the queue is full, or at its turn if it waited too long', async (t) => {
  const inTurn = oneAtATime({ most: 1, ms: 200 })
  const first = gate()
  const running = inTurn('a', () => first.opened)
  const late = inTurn('a', async () => t.fail('it is not run'))
  await t.rejects(
    inTurn('a', async () => t.fail('nor is this')),
    { message: 'Too many requests' },
  )
  setTimeout(first.open, 250)
  await t.rejects(late, { message: 'Too many requests' })
  await running
  t.equal(await inTurn('a', async () => 'next'), 'next', 'and the next one runs')
})

/** A promise that open() resolves. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}
