import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { statement, statements } from '../../src/database/statement.ts'
import { startService } from '../support/service.ts'

const settings = {
  'as it is by default': {},
  'where addresses have to be verified': { EMAIL_VERIFICATION: 'required', RATE_LIMIT_ENABLED: 'true' },
  'without verification': { EMAIL_VERIFICATION: 'off', RATE_LIMIT_ENABLED: 'true' },
}

for (const [when, env] of Object.entries(settings))
  void test(`the database can prepare every statement, ${when}`, async (t) => {
    const { rows } = await startService(t, env)
    t.ok(statements.size > 0)
    for (const { name, text } of statements.values()) {
      const explained = text.replace(/^explain \([^)]*\)/, '')
      await t.resolves(rows(sql.raw(`prepare one as ${explained}`)), name)
      await rows(sql`deallocate one`)
    }
  })

void test('a statement has each named parameter once, and a missing value throws', (t) => {
  const { text, bind } = statement<{ id: string; title: string }>(
    'rename',
    (v) => sql`update items set title = ${v.title} where id = ${v.id} and title <> ${v.title}`,
  )
  t.equal(text, 'update items set title = $1 where id = $2 and title <> $1', 'one of each')
  t.same(bind({ id: 'x', title: 'y' }), ['y', 'x'])
  t.throws(() => bind({ id: 'x' } as never), /rename: no value for title/)
  t.throws(() => statement('inlined', () => sql`select ${1}`), /inlined: 1 is no parameter/)
  statements.delete('rename')
  t.end()
})
