import { type SQL, and, eq, getTableColumns, getTableName, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from './connect.ts'
import { prepareKeyedCreate } from './idempotency.ts'
import type { Ownership, RevealedTable } from './owned-table.ts'
import { columnsIn } from './page-statement.ts'
import { preparePages } from './page.ts'
import { assigned, value, valueOrDefault } from './statements.ts'

/** What a row that was made has beside its table's columns. */
export const VERSION = 'version_of_row'

/** The statements behind owned.ts for one table, built once. */
export function prepareOwned<Row, Sort extends string>(
  db: Database,
  table: RevealedTable,
  { fields, search }: Ownership,
) {
  const name = getTableName(table)
  const columns = getTableColumns(table) as Record<string, PgColumn>
  const each = (write: (column: PgColumn) => SQL) =>
    Object.fromEntries(fields.map((field) => [field, write(columns[field]!)]))
  const ofAsker = eq(table.owner_id, value('asker'))
  const ofId = eq(table.id, value('id'))
  // The transaction that wrote the row, as PostgreSQL itself notes it: no writer can forget to.
  const version = sql<string>`${table}.xmin::text`.as(VERSION)
  const versions = sql`${value('if_match')}::text`
  const isVersion = sql`(${versions} is null or ${table}.xmin::text = any(string_to_array(${versions}, ',')))`
  const allowed = and(ofId, or(ofAsker, sql`${value('superuser')}::boolean`), isVersion)

  const row = { ...columns, [VERSION]: version }
  const updated = db.$with('written').as(db.update(table).set(each(assigned)).where(allowed).returning(row))
  const deleted = db.$with('written').as(db.delete(table).where(allowed).returning(row))
  /** Runs the write beside a look at the row as it was: whose it is, even where nothing was written. */
  const withOwner = (written: typeof updated) =>
    db
      .with(written)
      .select({ owner_id: table.owner_id, row: columnsIn(table, written), version: written[VERSION] })
      .from(table)
      .leftJoin(written, sql`true`)
      .where(ofId)

  return {
    pageOfOwner: preparePages<Row, Sort>(db, table, search, ofAsker),
    pageOfAll: preparePages<Row, Sort>(db, table, search),
    get: db.select({ row: columns, version }).from(table).where(ofId).prepare(`${name}_get`),
    create: db
      .insert(table)
      .values({ ...each(valueOrDefault), owner_id: value('asker') })
      .returning(row)
      .prepare(`${name}_create`),
    createOnce: prepareKeyedCreate(db, table, {
      ...each(valueOrDefault),
      owner_id: sql`${value('asker')}::uuid`,
    }),
    update: withOwner(updated).prepare(`${name}_update`),
    delete: withOwner(deleted).prepare(`${name}_delete`),
  }
}
