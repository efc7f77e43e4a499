import { type SQL, and, eq, getTableColumns, getTableName, not, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { prepareKeyedCreate } from './idempotency.ts'
import type { Ownership, RevealedTable } from '../database/owned-table.ts'
import { columnsIn } from './page-statement.ts'
import { preparePages } from './page.ts'
import { assigned, newRow, value, valueOrDefault } from '../database/statements.ts'
import { users } from '../database/tables.ts'

/** What a row that was made has beside its table's columns. */
export const VERSION = 'version of row'

/** The statements behind owned.ts for one table, built once. */
export function prepareOwned<Row, Sort extends string>(
  db: Database,
  table: RevealedTable,
  { fields, search }: Ownership,
) {
  const name = getTableName(table)
  const columns = getTableColumns(table) as Record<string, PgColumn>
  const each = (write: (column: PgColumn, field: string) => SQL) =>
    Object.fromEntries(fields.map((field) => [field, write(columns[field]!, field)]))
  const ofAsker = eq(table.owner_id, value('asker'))
  // Rows of a deleted user, which are gone for everybody before they are removed (removal.ts).
  const isLeft = sql`${table.owner_id} = any(array(select ${users.id} from ${users} where ${users.deleted_at} is not null))`
  const ofId = and(eq(table.id, value('id')), not(isLeft))
  // The transaction that wrote the row, as PostgreSQL itself notes it: no writer can forget to.
  const version = sql<string>`${table}.xmin::text`.as(VERSION)
  const versions = sql`${value('if_match')}::text`
  const isVersion = sql`(${versions} is null or ${table}.xmin::text = any(string_to_array(${versions}, ',')))`
  const allowed = and(ofId, or(ofAsker, sql`${value('superuser')}::boolean`), isVersion)

  const row = { ...columns, [VERSION]: version }
  const updated = db
    .$with('written row')
    .as(db.update(table).set(each(assigned)).where(allowed).returning(row))
  const deleted = db.$with('written row').as(db.delete(table).where(allowed).returning(row))
  /** Runs the write beside a look at the row as it was: whose it is, even where nothing was written. */
  const withOwner = (written: typeof updated) =>
    db
      .with(written)
      .select({ owner_id: table.owner_id, row: columnsIn(table, written), version: written[VERSION] })
      .from(table)
      .leftJoin(written, sql`true`)
      .where(ofId)

  const given = { ...each(valueOrDefault), owner_id: sql`${value('asker')}::uuid` }
  const room = sql`${value('room')}::integer`
  // Rounded as rows are: one of just after would seem older than the count. One of just before may count twice, which
  // costs no more than another count.
  const isNew = sql`${table.created_at} >= ${value('counted_at')}::timestamptz(3)`
  /** As quota.ts has it. */
  const hasRoom = sql`(select count(*) from (select from ${table} where ${ofAsker} and ${isNew} limit ${room}) as newest) < ${room}`

  return {
    pageOfOwner: preparePages<Row, Sort>(db, table, search, ofAsker),
    pageOfAll: preparePages<Row, Sort>(db, table, search, undefined, undefined, isLeft),
    get: db.select({ row: columns, version }).from(table).where(ofId).prepare(`${name}_get`),
    create: db
      .insert(table)
      .select((qb) =>
        qb
          .select(newRow(table, given) as never)
          .from(sql`(values (1)) as one`)
          .where(hasRoom),
      )
      .returning(row)
      .prepare(`${name}_create`),
    createOnce: prepareKeyedCreate(db, table, given, hasRoom),
    count: prepareCountOfOwner(db, table),
    update: withOwner(updated).prepare(`${name}_update`),
    delete: withOwner(deleted).prepare(`${name}_delete`),
  }
}

/** The rows of an owner, no further than `most`, and when that was. */
function prepareCountOfOwner(db: Database, table: RevealedTable) {
  const rows = sql`select from ${table} where ${table.owner_id} = ${value('asker')} limit ${value('most')}::integer`
  return db
    .select({
      count: sql<number>`(select count(*) from (${rows}) as counted)::integer`.as('count'),
      at: sql<string>`to_jsonb(now()) #>> '{}'`.as('at'), // whatever DateStyle is
    })
    .from(sql`(values (1)) as one`)
    .prepare(`${getTableName(table)}_count_of_owner`)
}
