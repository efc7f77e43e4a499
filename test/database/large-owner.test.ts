import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { needsPostgres } from '../support/database.ts'
import { type Person, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const PAPERS = 90_000
const CONNECTIONS = 20

/** The effect on the latency of others is measured by `npm run bench:abuse`, attack `hoarder`. */
void test(
  'a user who lists 90,000 papers on 20 connections does not hold up other users',
  needsPostgres,
  async (t) => {
    const { app, call, person, rows } = await startService(t)
    const [hoarder, other] = [await person(), await person()]
    await rows(sql`drop index papers_search_index`)
    for (let batch = 0; batch < 9; batch++)
      await rows(
        sql`insert into papers (title, owner_id) select 'x', ${hoarder.id} from generate_series(1, ${PAPERS / 9}::int)`,
      )
    await rows(sql`insert into papers (title, owner_id) select 'x', ${other.id} from generate_series(1, 30)`)
    await rows(sql`analyze papers`)
    const list = async (as: Person, query = '') => (await call('GET', `/papers/${query}`, { as })).status
    const waiting = async () =>
      (
        await rows(sql`select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%papers%'`)
      ).length

    const isReadInTurn = (query: string) =>
      t.test(query || 'the first page', async (t) => {
        const lists: Promise<number>[] = []
        // Lists wait for this lock, so that those at the database can be counted.
        await app.db.transaction(async (holder) => {
          await holder.execute(sql`lock table papers in access exclusive mode`)
          for (let n = 0; n < CONNECTIONS; n++) lists.push(list(hoarder, query))
          t.equal((await call('GET', '/users/me', { as: other })).status, 200, 'others are served')
          lists.push(list(other, query))
          await until(async () => (await waiting()) >= 2)
          t.equal((await call('GET', '/users/me', { as: other })).status, 200, 'all the time')
          t.equal(await waiting(), 2, 'a list of each is at the database')
        })
        t.equal(await lists.pop(), 200, 'whoever has few gets their list')
        // Those that waited too long are 429.
        for (const status of await Promise.all(lists)) t.ok([200, 429].includes(status), `${status}`)
      })
    await isReadInTurn('?q=x') // before the service saw how many there are
    t.equal(await list(hoarder), 200)
    for (const query of ['', '?skip=85000', '?sort=title', '?q=x&sort=title']) await isReadInTurn(query)
    const { body } = await call('GET', '/papers/', { as: hoarder })
    t.equal(body.count, PAPERS, 'the count is exact')
  },
)
