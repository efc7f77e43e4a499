import { type SQL, and, eq, getTableColumns, getTableName, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import {
  IdempotencyKeyReused,
  InvalidCredentials,
  NotEnoughPermissions,
  PreconditionFailed,
} from '../errors.ts'
import type { Database } from './connect.ts'
import { isForeignKeyViolation } from './faults.ts'
import { keyValues, prepareKeyedCreate } from './idempotency.ts'
import { type OwnedTable, type Ownership, type RevealedTable, reveal } from './owned-table.ts'
import { columnsIn } from './page-statement.ts'
import { type PageOf, type PageRequest, preparePages } from './page.ts'
import { assigned, assignments, value, valueOrDefault } from './statements.ts'

/** Who is asking. Superusers see and change every row; others their own. */
export interface Asker {
  readonly id: string
  readonly is_superuser: boolean
}

/** A row, and which version of it: another one after each write, whoever wrote. */
export interface Versioned<Row> {
  readonly row: Row
  readonly version: string
}

/**
 * The only door to an owned table. Each call knows who is asking, is one prepared statement, and decides about
 * permission in the statement that reads or writes, so that nothing can change between check and write.
 * An unknown row is the table's own 404, another's row is 403 `Not enough permissions`.
 */
export interface OwnedRows<Row, Field extends string, Sort extends string> {
  /** A page, newest first where not asked for otherwise, with the number of all rows that the asker may see. */
  page(asker: Asker, request: PageRequest<Sort>): Promise<PageOf<Row>>
  get(asker: Asker, id: string): Promise<Versioned<Row>>
  /**
   * Adds a row of the asker's. With a key that they used before within a day nothing is added, and the row of then is
   * given as it was.
   *
   * @throws InvalidCredentials when the asker was deleted meanwhile
   * @throws IdempotencyKeyReused where the key stands for other fields
   */
  create(
    asker: Asker,
    fields: Partial<Record<Field, unknown>>,
    idempotencyKey?: string,
  ): Promise<Versioned<Row>>
  /**
   * Writes the fields that are sent; the others stay.
   *
   * @param versions one of which the row must be; any where left out
   * @throws PreconditionFailed where it is another
   */
  update(
    asker: Asker,
    id: string,
    fields: Partial<Record<Field, unknown>>,
    versions?: readonly string[],
  ): Promise<Versioned<Row>>
  /** @throws PreconditionFailed where the row is none of `versions` */
  delete(asker: Asker, id: string, versions?: readonly string[]): Promise<void>
}

/** Prepares the statements of one owned table. */
export function ownedRows<Row, Field extends string, Sort extends string>(
  db: Database,
  owned: OwnedTable<Row, Field, Sort>,
): OwnedRows<Row, Field, Sort> {
  const { table, ownership } = reveal(owned)
  const { fields, notFound } = ownership
  const run = prepare<Row, Sort>(db, table, ownership)

  async function get(asker: Asker, id: string) {
    const [found] = await run.get.execute({ id })
    if (!found) throw new notFound()
    if (found.row.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    return found as Versioned<Row>
  }

  /** A write of one row, which says whose the row was, and the row if it was written. */
  async function write(statement: typeof run.update, { asker, id, versions, ...values }: Write) {
    const superuser = asker.is_superuser
    const allowed = versions?.filter((version) => /^\d+$/.test(version)).join(',') ?? null
    const given = { ...values, id, asker: asker.id, superuser, if_match: allowed }
    const [found] = await statement.execute(given)
    if (found?.row) return found as Versioned<Row>
    if (found && found.owner_id !== asker.id && !superuser) throw new NotEnoughPermissions()
    if (!found || versions === undefined) throw new notFound()
    // Another version, unless the row is gone meanwhile.
    await get(asker, id)
    throw new PreconditionFailed()
  }

  async function create(given: Record<string, unknown>) {
    const [made] = await run.create.execute(given)
    return made as unknown as Versioned<Row>
  }

  async function createOnce(given: Record<string, unknown>, key: string) {
    const body = fields.map((field) => given[field])
    const [made] = await run.createOnce.execute({ ...given, ...keyValues(table, key, body) })
    if (!made?.isSameBody) throw new IdempotencyKeyReused()
    return { row: made.row, version: made.version } as Versioned<Row>
  }

  return {
    page: (asker, request) =>
      asker.is_superuser ? run.pageOfAll(request) : run.pageOfOwner(request, { asker: asker.id }),
    get,
    async create(asker, body, key) {
      const given = { ...assignments(fields, body), asker: asker.id }
      try {
        return key === undefined ? await create(given) : await createOnce(given, key)
      } catch (error) {
        if (isForeignKeyViolation(error)) throw new InvalidCredentials()
        throw error
      }
    },
    update: (asker, id, body, versions) =>
      write(run.update, { ...assignments(fields, body), asker, id, versions }),
    async delete(asker, id, versions) {
      await write(run.delete, { asker, id, versions })
    },
  }
}

interface Write {
  readonly asker: Asker
  readonly id: string
  readonly versions: readonly string[] | undefined
}

/** The statements of one owned table, built once. */
function prepare<Row, Sort extends string>(
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
  const version = sql<string>`${table}.xmin::text`.as('version')
  const versions = sql`${value('if_match')}::text`
  const isVersion = sql`(${versions} is null or ${table}.xmin::text = any(string_to_array(${versions}, ',')))`
  const allowed = and(ofId, or(ofAsker, sql`${value('superuser')}::boolean`), isVersion)

  const row = { ...columns, version }
  const updated = db.$with('written').as(db.update(table).set(each(assigned)).where(allowed).returning(row))
  const created = db.$with('written').as(
    db
      .insert(table)
      .values({ ...each(valueOrDefault), owner_id: value('asker') })
      .returning(row),
  )
  const deleted = db.$with('written').as(db.delete(table).where(allowed).returning(row))
  /** Runs the write beside a look at the row as it was: whose it is, even where nothing was written. */
  const withOwner = (written: typeof updated) =>
    db
      .with(written)
      .select({ owner_id: table.owner_id, row: columnsIn(table, written), version: written.version })
      .from(table)
      .leftJoin(written, sql`true`)
      .where(ofId)

  return {
    pageOfOwner: preparePages<Row, Sort>(db, table, search, ofAsker),
    pageOfAll: preparePages<Row, Sort>(db, table, search),
    get: db.select({ row: columns, version }).from(table).where(ofId).prepare(`${name}_get`),
    create: db
      .with(created)
      .select({ row: columnsIn(table, created), version: created.version })
      .from(created)
      .prepare(`${name}_create`),
    createOnce: prepareKeyedCreate(db, table, {
      ...each(valueOrDefault),
      owner_id: sql`${value('asker')}::uuid`,
    }),
    update: withOwner(updated).prepare(`${name}_update`),
    delete: withOwner(deleted).prepare(`${name}_delete`),
  }
}
