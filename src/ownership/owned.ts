import { type SQL, getTableName, sql } from 'drizzle-orm'
import { NotEnoughPermissions, PreconditionFailed } from '../contract/errors.ts'
import type { Database } from '../database/connect.ts'
import { type OwnedTable, type RevealedTable, reveal } from '../database/owned-table.ts'
import { type Statement, statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { assignment, bodyValues, inputsOfChange } from './body-values.ts'
import { type Row, VERSION, commaSeparated, rowReader, selected, takeLast, versionOf } from './columns.ts'
import { rowCreation } from './create.ts'
import { refusalsOf } from './owned-refusals.ts'
import { type PageOf, type PageRequest, preparePages } from './page.ts'

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
  /** The table's name. */
  readonly table: string
  /** A page, newest first where not asked for otherwise, with the number of all rows that the asker may see. */
  page(asker: Asker, request: PageRequest<Sort>, isWanted?: () => boolean): Promise<PageOf<Row>>
  get(asker: Asker, id: string): Promise<Versioned<Row>>
  /**
   * Adds a row of the asker's. With a key that they used before within a day nothing is added, and the row of then is
   * given as it was.
   *
   * @throws RowQuotaReached, or InvalidCredentials when the asker was deleted meanwhile
   * @throws IdempotencyKeyReused where the key stands for other fields
   * @throws InvalidInput, AlreadyExists where a constraint of the table refuses the fields
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
   * @throws InvalidInput, AlreadyExists where a constraint of the table refuses the fields
   */
  update(
    asker: Asker,
    id: string,
    fields: Partial<Record<Field, unknown>>,
    versions?: readonly string[],
  ): Promise<Versioned<Row>>
  /** @throws PreconditionFailed where the row is none of `versions`, StillReferenced where others need it */
  delete(asker: Asker, id: string, versions?: readonly string[]): Promise<void>
}

/**
 * The rows of one owned table.
 *
 * @param most rows that one owner may have
 */
export function ownedRows<Row, Field extends string, Sort extends string>(
  db: Database,
  owned: OwnedTable<Row, Field, Sort>,
  most = 100_000,
): OwnedRows<Row, Field, Sort> {
  const { table, ownership } = reveal(owned)
  const { fields, search, notFound } = ownership
  const ofAsker = sql`${table.owner_id} = ${sql.placeholder('asker')}`
  const pageOfOwner = preparePages<Row, Sort>(db, table, search, ofAsker)
  const pageOfAll = preparePages<Row, Sort>(db, table, search, undefined, undefined, ofDeletedUser(table))
  const getRow = compileGet(table)
  const updateRow = compileUpdate(table, fields)
  const deleteRow = compileDelete(table)
  const create = rowCreation(db, table, fields, most)
  const changesIn = bodyValues(inputsOfChange(table, fields))
  const readRow = rowReader(table)
  const refusals = refusalsOf(db, table, fields)

  async function get(asker: Asker, id: string) {
    const [found] = await db.run(getRow, { id })
    if (!found) throw new notFound()
    if (found.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    return versioned(found)
  }

  function versioned(row: Found) {
    const version = takeLast(row, VERSION) as string
    readRow(row)
    return { row, version } as Versioned<Row>
  }

  /** Runs a write of one row, which says whose the row was, and the row if it was written. */
  async function write(
    statement: Statement<Target, Found>,
    { asker, id, versions }: Write,
    changes: Record<string, unknown> = {},
  ) {
    const target: Target = {
      id,
      asker: asker.id,
      superuser: asker.is_superuser,
      if_match: versions?.filter((version) => /^\d+$/.test(version)).join(',') ?? null,
    }
    const [found] = await db.run(statement, Object.assign(changes, target))
    if (!found) throw new notFound()
    const owner = takeLast(found, OWNER)
    if (found[VERSION] !== null) return versioned(found)
    if (owner !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    if (versions === undefined) throw new notFound()
    // Another version, unless the row is gone meanwhile.
    await get(asker, id)
    throw new PreconditionFailed()
  }

  return {
    table: getTableName(table),
    page: (asker, request, isWanted) =>
      asker.is_superuser
        ? pageOfAll(request, {}, isWanted)
        : pageOfOwner(request, { asker: asker.id }, isWanted),
    get: (asker, id) => refusals.ofRead(id, get(asker, id), notFound),
    async create(asker, body, key) {
      refusals.refuseTooDeep(body)
      return (await refusals.ofCreation(body, create(asker.id, body, key))) as Versioned<Row>
    },
    async update(asker, id, body, versions) {
      refusals.refuseTooDeep(body)
      const written = write(updateRow, { asker, id, versions }, changesIn(body))
      return refusals.ofChange(id, body, written, notFound)
    },
    async delete(asker, id, versions) {
      await refusals.ofDeletion(id, write(deleteRow, { asker, id, versions }), notFound)
    },
  }
}

/** Which row a write is about, who asks, and which versions of it may be written. */
interface Write {
  readonly asker: Asker
  readonly id: string
  readonly versions: readonly string[] | undefined
}

/** The same as parameters of the statement. */
interface Target {
  readonly id: string
  readonly asker: string
  readonly superuser: boolean
  /** Versions with commas between them; null for any. */
  readonly if_match: string | null
}

type Found = Row

/** The owner of the row that a write is about, beside the row's columns, which are null where nothing was written. */
const OWNER = 'owner of row'

/** Rows of a deleted user are hidden from everybody until they are removed (removal.ts). */
const ofDeletedUser = (table: RevealedTable): SQL =>
  sql`${table.owner_id} = any(array(select id from ${users} where deleted_at is not null))`

const isThere = (table: RevealedTable, id: SQL) => sql`${table.id} = ${id} and not (${ofDeletedUser(table)})`

/** Owners write their own rows, superusers any; both only the versions of `If-Match`. */
const mayWrite = (table: RevealedTable, v: Record<keyof Target, SQL>) => sql`${isThere(table, v.id)}
        and (${table.owner_id} = ${v.asker} or ${v.superuser}::boolean)
        and (${v.if_match}::text is null or ${table}.xmin::text = any(string_to_array(${v.if_match}::text, ',')))`

/** A row by its id, whoever asks: another's is 403. */
const compileGet = (table: RevealedTable) =>
  statement<{ id: string }, Found>(
    `get ${getTableName(table)}`,
    (v) => sql`
    select ${selected(table, table)}, ${versionOf(table)}
    from ${table} where ${isThere(table, v.id)}`,
  )

/** Writes what is sent of the fields. Takes `bodyValues` as well. */
const compileUpdate = (table: RevealedTable, fields: readonly string[]) =>
  statement<Target, Found>(
    `update ${getTableName(table)}`,
    (v) => sql`
    with "written row" as (
      update ${table} set ${commaSeparated(inputsOfChange(table, fields).map(assignment))}
      where ${mayWrite(table, v)}
      returning ${selected(table, table)}, ${versionOf(table)}
    )
    ${writtenWithOwner(table, v.id)}`,
  )

const compileDelete = (table: RevealedTable) =>
  statement<Target, Found>(
    `delete ${getTableName(table)}`,
    (v) => sql`
    with "written row" as (
      delete from ${table}
      where ${mayWrite(table, v)}
      returning ${selected(table, table)}, ${versionOf(table)}
    )
    ${writtenWithOwner(table, v.id)}`,
  )

/** The written row beside the owner of the row as it was, which tells 403 from 404 where nothing was written. */
const writtenWithOwner = (
  table: RevealedTable,
  id: SQL,
) => sql`select "written row".*, ${table.owner_id} as ${sql.identifier(OWNER)}
    from ${table} left join "written row" on true
    where ${isThere(table, id)}`
