import { sql } from 'drizzle-orm'
import { check, index, integer, pgEnum, pgTable, text, unique, uuid, varchar } from 'drizzle-orm/pg-core'
import { test } from 'tap'
import { forgottenMigration } from '../../src/database/migrate/forgotten-migration.ts'
import { resources } from '../../src/app.ts'
import * as declared from '../../src/database/tables.ts'

const schema = {
  ...declared,
  ...Object.fromEntries(resources.map(({ table, tag }) => [tag.name, table])),
}
const LINE = /^The tables have changes that no migration makes \((.+)\): run npm run db:generate -- --name …$/
const names = (tables: Record<string, unknown>) =>
  LINE.exec(forgottenMigration(Object.values(tables)) ?? '')?.[1]

const { rateLimits: _left, ...others } = schema

void test('with a migration for every change, nothing is reported', (t) => {
  t.equal(forgottenMigration(Object.values(schema)), undefined)
  t.end()
})

void test('a table, a column, a type, an index or a check without a migration is named', (t) => {
  t.equal(names({ ...schema, more: pgTable('more', { id: uuid() }) }), 'more, more.id')
  t.match(names(others), /^rate_limits, /)
  const idempotencyKeys = (columns: object) =>
    pgTable('row_counts', columns as { id: ReturnType<typeof uuid> })
  t.match(names({ ...schema, rowCounts: idempotencyKeys({ more: text() }) }), 'row_counts.more')
  const whole = { ...schema, more: pgTable('emails', { recipient: varchar({ length: 300 }).notNull() }) }
  t.equal(names(whole), 'emails.recipient')
  const nullable = { ...schema, more: pgTable('emails', { recipient: varchar({ length: 255 }) }) }
  t.equal(names(nullable), 'emails.recipient')
  const more = pgTable('emails', { recipient: varchar({ length: 255 }).notNull(), n: integer() }, (table) => [
    index('emails_n_index').on(table.n),
    check('emails_n_check', sql`${table.n} > 0`),
    unique('emails_n_unique').on(table.n),
  ])
  t.equal(names({ ...schema, more }), 'emails.n, emails_n_index, emails_n_unique, emails_n_check')
  const unnamed = pgTable(
    'emails',
    { attempts: integer().notNull().default(0), user_id: uuid() },
    (table) => [index().on(table.user_id, table.attempts)],
  )
  t.equal(names({ ...schema, unnamed }), 'emails_user_id_attempts_index')
  t.end()
})

void test('a new value or another order in an enum without a migration is named', (t) => {
  const snapshot = (values: string[]) => ({ tables: {}, enums: { 'public.mood': { name: 'mood', values } } })
  const mood = pgEnum('mood', ['sad', 'ok'])
  t.equal(forgottenMigration([mood], snapshot(['sad', 'ok'])), undefined)
  const told = (given: string[]) => LINE.exec(forgottenMigration([mood], snapshot(given)) ?? '')?.[1]
  t.equal(told(['sad']), 'mood', 'a new one')
  t.equal(told(['ok', 'sad']), 'mood', 'or another order')
  t.equal(names({ ...schema, mood }), 'mood')
  t.equal(names({ ...schema, mood: pgEnum('mood', { Sad: 'sad' }) }), 'mood')
  t.end()
})
