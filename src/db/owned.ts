import { and, eq, getTableColumns, getTableName, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { InvalidCredentials, NotEnoughPermissions } from '../errors.ts'
import type { Database } from './connect.ts'
import { isForeignKeyViolation } from './faults.ts'
import { type OwnedTable, type Ownership, type RevealedTable, reveal } from './owned-table.ts'
import { columnsIn } from './page-statement.ts'
import { type PageOf, type PageRequest, preparePages } from './page.ts'
import { assigned, assignments, value, valueOrDefault } from './statements.ts'

/** Who is asking. Superusers see and change every row; others their own. */
export interface Asker {
  readonly id: string
  readonly is_superuser: boolean
}

/**
 * The only door to an owned table. Each call knows who is asking, is one prepared statement, and decides about
 * permission in the statement that reads or writes, so that nothing can change between check and write.
 * An unknown row is the table's own 404, another's row is 403 `Not enough permissions`.
 */
export interface OwnedRows<Row, Field extends string, Sort extends string> {
  /** A page, newest first where not asked for otherwise, with the number of all rows that the asker may see. */
  page(asker: Asker, request: PageRequest<Sort>): Promise<PageOf<Row>>
  get(asker: Asker, id: string): Promise<Row>
  /** Adds a row of the asker's. @throws InvalidCredentials when the asker was deleted meanwhile */
  create(asker: Asker, fields: Partial<Record<Field, unknown>>): Promise<Row>
  /** Writes the fields that are sent; the others stay. */
  update(asker: Asker, id: string, fields: Partial<Record<Field, unknown>>): Promise<Row>
  delete(asker: Asker, id: string): Promise<void>
}

/** Prepares the statements of one owned table. */
export function ownedRows<Row, Field extends string, Sort extends string>(
  db: Database,
  owned: OwnedTable<Row, Field, Sort>,
): OwnedRows<Row, Field, Sort> {
  const { table, ownership } = reveal(owned)
  const { fields, notFound } = ownership
  const run = prepare<Row, Sort>(db, table, ownership)

  /** What a write says of itself: whose the row was, and the row if it was written. */
  function outcome<Written>([found]: { owner_id: unknown; row: Written | null }[], asker: Asker): Written {
    if (found?.row) return found.row
    if (found && found.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    throw new notFound()
  }

  return {
    page: (asker, request) =>
      asker.is_superuser ? run.pageOfAll(request) : run.pageOfOwner(request, { asker: asker.id }),
    async get(asker, id) {
      const [row] = await run.get.execute({ id })
      if (!row) throw new notFound()
      if (row.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
      return row as Row
    },
    async create(asker, body) {
      try {
        const [row] = await run.create.execute({ ...assignments(fields, body), asker: asker.id })
        return row as Row
      } catch (error) {
        if (isForeignKeyViolation(error)) throw new InvalidCredentials()
        throw error
      }
    },
    async update(asker, id, body) {
      const found = await run.update.execute({ ...assignments(fields, body), ...scope(asker, id) })
      return outcome(found, asker) as Row
    },
    async delete(asker, id) {
      outcome(await run.delete.execute(scope(asker, id)), asker)
    },
  }
}

const scope = (asker: Asker, id: string) => ({ id, asker: asker.id, superuser: asker.is_superuser })

/** The statements of one owned table, built once. */
function prepare<Row, Sort extends string>(
  db: Database,
  table: RevealedTable,
  { fields, search }: Ownership,
) {
  const name = getTableName(table)
  const columns = getTableColumns(table) as Record<string, PgColumn>
  const each = (write: (column: PgColumn) => unknown) =>
    Object.fromEntries(fields.map((field) => [field, write(columns[field]!)]))
  const ofAsker = eq(table.owner_id, value('asker'))
  const ofId = eq(table.id, value('id'))
  const allowed = and(ofId, or(ofAsker, sql`${value('superuser')}::boolean`))

  const updated = db.$with('written').as(db.update(table).set(each(assigned)).where(allowed).returning())
  const deleted = db.$with('written').as(db.delete(table).where(allowed).returning())
  /** Runs the write beside a look at the row as it was: whose it is, even where nothing was written. */
  const withOwner = (written: typeof updated) =>
    db
      .with(written)
      .select({ owner_id: table.owner_id, row: columnsIn(table, written) })
      .from(table)
      .leftJoin(written, sql`true`)
      .where(ofId)

  return {
    pageOfOwner: preparePages<Row, Sort>(db, table, search, ofAsker),
    pageOfAll: preparePages<Row, Sort>(db, table, search),
    get: db.select().from(table).where(ofId).prepare(`${name}_get`),
    create: db
      .insert(table)
      .values({ ...each(valueOrDefault), owner_id: value('asker') })
      .returning()
      .prepare(`${name}_create`),
    update: withOwner(updated).prepare(`${name}_update`),
    delete: withOwner(deleted).prepare(`${name}_delete`),
  }
}
