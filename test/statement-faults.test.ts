import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { collectingLogger } from './support/log-lines.ts'
import { startService } from './support/service.ts'

interface Line {
  readonly msg: string
  readonly err: { readonly message: string; readonly code: string; readonly statement?: string }
}

const faults = (lines: readonly string[]) =>
  lines.map((line) => JSON.parse(line) as Line).filter(({ err }) => err !== undefined)

void test('in local, the log has the message and the statement of a database error, without values', async (t) => {
  const { logger, lines } = await collectingLogger('local')
  const { call, person, rows } = await startService(t, {}, { logger })
  const ada = await person()
  await rows(sql`alter table papers rename column description to about`)
  const body = { title: 'heard of by nobody', description: 'x9' }
  t.equal((await call('POST', '/papers/', { as: ada, body })).status, 500)
  const [fault] = faults(lines)
  t.match(fault, {
    msg: 'request failed',
    err: { type: 'DatabaseError', code: '42703', message: /column .*description.* does not exist/ },
  })
  t.match(fault?.err.statement, /insert into "?papers"?.*\$\d/s)
  t.notMatch(lines.join(), /heard of by nobody|x9/)
})

void test('outside local, the log has the code of a database error, without message and statement', async (t) => {
  const { logger, lines } = await collectingLogger('production')
  const { call, person, rows } = await startService(t, {}, { logger })
  const ada = await person()
  await rows(sql`alter table papers rename column description to about`)
  t.equal((await call('POST', '/papers/', { as: ada, body: { title: 'x' } })).status, 500)
  const [fault] = faults(lines)
  t.match(fault, { err: { type: 'DatabaseError', code: '42703', message: 'a statement failed' } })
  t.equal(fault?.err.statement, undefined)
})

void test('in local, no kind of database error is logged with a value of its statement', async (t) => {
  const { logger, lines } = await collectingLogger('local')
  const { rows } = await startService(t, {}, { logger })
  const value = 'seeded value'
  const number = 48_151_623
  const failing = [
    sql`select ${value}::uuid`,
    sql`select ${value}::timestamptz`,
    sql.raw(`select 'a "b" ${value}'::uuid`),
    sql.raw(`select 'a"' '${value}'`),
    sql`select ${String(number)}::smallint`,
    sql`select ${value}::jsonb`,
    sql.raw(`select '${value}'::uuid, ${number} from nowhere`),
    sql.raw(`select 1/0, E'it\\'s ${value}', 'it''s ${value}' /* ${value} */ -- ${value}`),
    sql.raw(`select $tag$ ${value} ' $tag$ from nowhere`),
    sql.raw(`select * from users where full_name = '${value}`),
    sql`do ${sql.raw(`$$ begin raise exception 'no room for "%" and %', '${value}', ${number}; end $$`)}`,
  ]
  for (const query of failing) {
    const error = await rows(query).then(
      () => t.fail('it does not fail'),
      (thrown: unknown) => thrown,
    )
    logger.error({ err: error }, 'failed')
    logger.error({ deeper: { error } }, 'failed')
    logger.error(error)
  }
  t.equal(lines.filter((line) => line.includes('DatabaseError')).length, 3 * failing.length)
  for (const line of lines) t.notMatch(line, /seeded|48151623|value"/, line.slice(0, 400))
  t.match(lines.join(), 'relation \\"nowhere\\" does not exist')
})
