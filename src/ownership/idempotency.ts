import { createHash } from 'node:crypto'
import { type SQL, getTableColumns, getTableName, or, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import type { RevealedTable } from '../database/owned-table.ts'
import { columnsIn } from './page-statement.ts'
import { jsonOf, newRow, nullRow, value } from '../database/statements.ts'
import { idempotencyKeys as keys } from '../database/tables.ts'

const hash = (text: string) => createHash('sha256').update(text).digest('base64url')

/** A key as it is stored: hashed, as clients may put anything in it. One of another table is another key. */
export const keyValues = (table: RevealedTable, key: string, body: readonly unknown[]) => ({
  idempotency_key: hash(`${getTableName(table)} ${key}`),
  idempotency_body: hash(jsonOf(body)),
})

/** The transaction that runs, as it will be noted in the rows that it writes: their version. */
const ownVersion = sql`pg_current_xact_id()::xid::text`

/** Keys are kept for a day, and then as good as new. */
const isOver = sql`${keys.created_at} < now() - interval '1 day'`

/**
 * Prepares the statement that adds a row, unless its key was used before within a day, and gives the row that the key
 * stands for as it was made. Whoever comes first has the key; others at the same moment wait for it at the unique
 * index and get what it got. It takes `asker`, `keyValues()` and what `given` names.
 *
 * @param given the columns of a new row
 * @param hasRoom whether one may be added; what the key stands for already is given all the same
 */
export function prepareKeyedCreate(
  db: Database,
  table: RevealedTable,
  given: Record<string, SQL>,
  hasRoom: SQL,
) {
  const isUsed = sql`exists (
    select from ${keys} where ${keys.user_id} = ${value('asker')}::uuid
      and ${keys.key} = ${value('idempotency_key')} and not ${isOver}
  )`
  // Named as no field and no table is: a column of that name would be meant before the row.
  const fresh = db.$with('new row').as(
    db
      .select(newRow(table, given))
      .from(sql`(values (1)) as one`)
      .where(or(isUsed, hasRoom)),
  )
  const kept = keep(db, fresh)
  const isNew = sql`exists (select from ${kept} where ${kept.answer} ->> 'id' = ${fresh}.id::text)`
  const written = db.$with('written row').as(
    db
      .insert(table)
      .select((qb) =>
        qb
          .select(columnsIn(table, fresh) as never)
          .from(fresh)
          .where(isNew),
      )
      .returning({ id: table.id }),
  )
  const made = Object.entries(getTableColumns(table)).map(([name, column]) => [
    name,
    sql`made.${sql.identifier(column.name)}`.mapWith(column),
  ])
  return db
    .with(fresh, kept, written, reaped(db, kept))
    .select({
      row: Object.fromEntries(made) as Record<string, SQL>,
      version: kept.version,
      isSameBody: sql<boolean>`${kept.body} = ${value('idempotency_body')}`,
    })
    .from(kept)
    .innerJoin(sql`jsonb_populate_record(${nullRow(table)}, ${kept.answer}) as made`, sql`true`)
    .prepare(`${getTableName(table)}_create_keyed`)
}

/** The row of the key: a new one, or the one that is there. */
function keep(db: Database, fresh: WithSubquery) {
  const row = newRow(keys, {
    user_id: sql`${value('asker')}::uuid`,
    key: sql`${value('idempotency_key')}::text`,
    body: sql`${value('idempotency_body')}::text`,
    answer: sql`to_jsonb(${fresh})`,
    version: ownVersion,
  })
  const { user_id, key, ...others } = getTableColumns(keys)
  const unlessOver = Object.entries(others).map(([name, column]) => [
    name,
    sql`case when ${isOver} then ${sql.raw(`excluded.${name}`)} else ${column} end`,
  ])
  return db.$with('kept answer').as(
    db
      .insert(keys)
      .select((qb) => qb.select(row as never).from(fresh))
      .onConflictDoUpdate({ target: [user_id, key], set: Object.fromEntries(unlessOver) as object })
      .returning(),
  )
}

/** Each key takes two out that are over, after it has its own: so no two statements wait for each other. */
const reaped = (db: Database, kept: WithSubquery) =>
  db.$with('reaped keys').as(
    db
      .delete(keys)
      .where(
        sql`(${keys.user_id}, ${keys.key}) in (
          select user_id, key from ${keys}
          where exists (select from ${kept}) and ${isOver} and key <> ${value('idempotency_key')}
          order by created_at limit 2 for update skip locked
        )`,
      )
      .returning({ key: keys.key }),
  )
