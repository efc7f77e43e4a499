import { PGlite } from '@electric-sql/pglite'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import { overPglite } from '../../src/database/embedded/embedded.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase, dropDatabase, onPostgres } from '../support/database.ts'
import { fileOf } from '../support/dumps.ts'
import { createPapers } from '../support/papers.ts'
import { type Service, startService } from '../support/service.ts'

const INDEXES = ['papers_search_index', 'users_search_index']

async function indexesOf({ rows }: Service) {
  const found = await rows<{ name: string }>(
    sql`select indexname as name from pg_indexes where indexname in ('papers_search_index', 'users_search_index') order by 1`,
  )
  return found.map(({ name }) => name)
}

async function finds(t: Test, { call, admin }: Service) {
  await call('POST', '/papers/', { as: admin, body: { title: 'A needle' } })
  const { status, body } = await call('GET', '/papers/?q=NEEDLE', { as: admin })
  t.equal(status, 200, 'a search works')
  t.ok(body.count > 0)
}

void test('without pg_trgm, search works without an index', { skip: onPostgres }, async (t) => {
  const service = await startService(
    t,
    {},
    { connection: overPglite(await PGlite.create({ loadDataDir: await fileOf('empty') })) },
  )
  await createPapers(service.app.db)
  t.same(await indexesOf(service), [])
  await finds(t, service)
})

void test('search indexes need no superuser where pg_trgm is trusted', { skip: !onPostgres }, async (t) => {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const name = new URL(url).pathname.slice(1)
  const administrator = postgres(url, { max: 1, onnotice: () => undefined })
  await administrator.unsafe(
    `create role ${name} login; grant create on database ${name} to ${name}; grant create on schema public to ${name}`,
  )
  const own = new URL(url)
  own.username = name
  const connection = connectPostgres({ url: own.href, migrationUrl: own.href, poolSize: 2 })
  const close = async () => {
    await connection.close()
    await administrator.end()
    await dropDatabase(server, url)
  }
  const service = await startService(t, {}, { connection: { ...connection, close } })
  await createPapers(service.app.db)
  t.same(await indexesOf(service), INDEXES)

  // As on a database whose administrator has not allowed pg_trgm.
  await administrator.unsafe(`drop extension pg_trgm cascade; revoke create on database ${name} from ${name}`)
  await service.rows(sql`select create_search_index('papers', 'title', 'description')`)
  t.same(await indexesOf(service), [], 'the migration goes on')
  await finds(t, service)

  await administrator.unsafe(
    `create extension pg_trgm;
     select create_search_index('papers', 'title', 'description');
     select create_search_index('users', 'email', 'full_name')`,
  )
  t.same(await indexesOf(service), INDEXES, 'until the administrator makes them')
  await finds(t, service)
})
