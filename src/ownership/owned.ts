import { type SQL, getTableName, sql } from 'drizzle-orm'
import { NotEnoughPermissions, PreconditionFailed } from '../contract/errors.ts'
import { type Database, isTransaction } from '../database/connect.ts'
import { type Runs, type Statement, statement } from '../database/statement.ts'
import {
  type Asker,
  type AskerParameters,
  askerParameters,
  isOwnOrShared,
  mayChange,
  ofDeletedUser,
} from './access.ts'
import { type Row, VERSION, commaSeparated, rowReader, selected, takeLast, versionOf } from './columns.ts'
import type { PageOf, PageRequest } from './list/page.ts'
import { type Condition, type Selection, selections } from './list/selection.ts'
import { type OwnedTable, type Ownership, type RevealedTable, reveal } from './owned-table.ts'
import { assignment, bodyValues, inputsOfChange } from './write/body-values.ts'
import { rowsCreation } from './write/create-many.ts'
import { quotaOf, rowCreation } from './write/create.ts'
import { refusalsOf } from './write/refusals.ts'

/** A row, and which version of it: another one after each write, whoever wrote. */
export interface Versioned<Row> {
  readonly row: Row
  readonly version: string
}

/**
 * The only door to an owned table. Each call knows who is asking, and decides about permission in
 * the statement that reads or writes, so that nothing can change between check and write.
 * An unknown row is the table's own 404, another's row is 403 `Not enough permissions`.
 *
 * The last parameter of each is the transaction that it is part of, where it is part of one.
 */
export interface OwnedRows<Row, Fields, Sort extends string> {
  /** The table's name. */
  readonly table: string
  /** A page, newest first where not asked for otherwise, with the number of all rows that the asker may see. */
  page(asker: Asker, request: PageRequest<Sort>, isWanted?: () => boolean, runs?: Runs): Promise<PageOf<Row>>
  /** All rows that the asker may read, or those of a condition. */
  select(asker: Asker, part?: Condition<Row, object>, given?: object, runs?: Runs): Selection<Row, Sort>
  get(asker: Asker, id: string, runs?: Runs): Promise<Versioned<Row>>
  /**
   * Adds a row of the asker's. With a key that they used before within a day nothing is added, and the row of then is
   * given as it was.
   *
   * @throws RowQuotaReached, or InvalidCredentials when the asker was deleted meanwhile
   * @throws IdempotencyKeyReused where the key stands for other fields
   * @throws InvalidInput, AlreadyExists where a constraint of the table refuses the fields
   */
  create(asker: Asker, fields: Fields, idempotencyKey?: string, runs?: Runs): Promise<Versioned<Row>>
  /** Adds as many, in their order, or none: one statement. Throws as `create` does. */
  createAll(asker: Asker, bodies: readonly Fields[], idempotencyKey?: string, runs?: Runs): Promise<Row[]>
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
    fields: Partial<Fields>,
    versions?: readonly string[],
    runs?: Runs,
  ): Promise<Versioned<Row>>
  /** @throws PreconditionFailed where the row is none of `versions`, StillReferenced where others need it */
  delete(asker: Asker, id: string, versions?: readonly string[], runs?: Runs): Promise<void>
}

/**
 * The rows of one owned table.
 *
 * @param most rows that one owner may have
 */
export function ownedRows<Row, Fields extends object, Sort extends string>(
  db: Database,
  owned: OwnedTable<Row, Fields, Sort>,
  most = 100_000,
): OwnedRows<Row, Fields, Sort> {
  const { table, ownership } = reveal(owned)
  const { fields, notFound } = ownership
  const select = selections<Row, Sort>(db, owned)
  const getRow = compileGet(table, ownership)
  const updateRow = compileUpdate(table, ownership)
  const deleteRow = compileDelete(table)
  const creation = { fields, most, quota: quotaOf(db, table, most) }
  const create = rowCreation(db, table, creation)
  const createAll = rowsCreation(db, table, creation)
  const changesIn = bodyValues(inputsOfChange(table, fields))
  const readRow = rowReader(table)
  const refusals = refusalsOf(table, fields)

  async function get({ id: asker, is_superuser: superuser }: Asker, id: string, runs: Runs = db) {
    const [found] = await runs.run(getRow, { id, asker, superuser })
    if (!found) throw new notFound()
    if (!takeLast(found, IS_ALLOWED)) throw new NotEnoughPermissions()
    return versioned(found)
  }

  function versioned(row: Found) {
    const version = takeLast(row, VERSION) as string
    readRow(row)
    return { row, version } as Versioned<Row>
  }

  /** Runs a write of one row, which says whether the asker may, and gives the row if it was written. */
  async function write(
    statement: Statement<Target, Found>,
    { asker, id, versions, runs }: Write,
    changes: Record<string, unknown> = {},
  ) {
    const target: Target = {
      id,
      asker: asker.id,
      superuser: asker.is_superuser,
      if_match: versions?.filter((version) => /^\d+$/.test(version)).join(',') ?? null,
    }
    const [found] = await runs.run(statement, Object.assign(changes, target))
    if (!found) throw new notFound()
    const isAllowed = takeLast(found, IS_ALLOWED)
    if (found[VERSION] !== null) return versioned(found)
    if (!isAllowed) throw new NotEnoughPermissions()
    // Another version, unless the row is gone meanwhile, or is no longer shared.
    await get(asker, id, runs)
    throw versions === undefined ? new NotEnoughPermissions() : new PreconditionFailed()
  }

  /** A statement that fails within a transaction is taken back alone, so that the transaction can go on. */
  const within = <T>(runs: Runs, write: (runs: Runs) => Promise<T>): Promise<T> =>
    isTransaction(runs) ? runs.transaction(write) : write(runs)

  return {
    table: getTableName(table),
    page: (asker, request, isWanted, runs) => select(asker, undefined, {}, runs).page(request, isWanted),
    select,
    get: (asker, id, runs = db) => refusals.ofRead(runs, id, get(asker, id, runs), notFound),
    async create(asker, body, key, runs = db) {
      refusals.refuseTooDeep(body)
      const created = within(runs, (inner) => create(asker, body, key, inner))
      return (await refusals.ofCreation(runs, body, created)) as Versioned<Row>
    },
    async createAll(asker, bodies, key, runs = db) {
      for (const body of bodies) refusals.refuseTooDeep(body)
      const created = within(runs, (inner) => createAll(asker, bodies, key, inner))
      return (await refusals.ofCreations(runs, created)) as Row[]
    },
    async update(asker, id, body, versions, runs = db) {
      refusals.refuseTooDeep(body)
      const changes = changesIn(body)
      const written = within(runs, (inner) => write(updateRow, { asker, id, versions, runs: inner }, changes))
      return refusals.ofChange(runs, id, body, written, notFound)
    },
    async delete(asker, id, versions, runs = db) {
      const deleted = within(runs, (inner) => write(deleteRow, { asker, id, versions, runs: inner }))
      await refusals.ofDeletion(runs, id, deleted, notFound)
    },
  }
}

/** Which row a write is about, who asks, and which versions of it may be written. */
interface Write {
  readonly asker: Asker
  readonly id: string
  readonly versions: readonly string[] | undefined
  readonly runs: Runs
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

/** Whether the asker may do what a statement does, beside the columns of the row. */
const IS_ALLOWED = 'is allowed'

/** Whoever asks is not deleted, so others' rows alone are looked at. */
const isThere = (table: RevealedTable, id: SQL) =>
  sql`${table.id} = ${id} and (${table.owner_id} = ${askerParameters.asker} or not (${ofDeletedUser(table)}))`

const isVersion = (table: RevealedTable, ifMatch: SQL) =>
  sql`(${ifMatch}::text is null or ${table}.xmin::text = any(string_to_array(${ifMatch}::text, ',')))`

/** Owners and superusers, and nobody whom the row is shared with. */
const mayDelete = (table: RevealedTable, { asker, superuser }: AskerParameters) =>
  sql`(${table.owner_id} = ${asker} or ${superuser})`

/** A row by its id, whoever asks: another's is 403. */
const compileGet = (table: RevealedTable, ownership: Ownership) =>
  statement<{ id: string; asker: string; superuser: boolean }, Found>(
    `get ${getTableName(table)}`,
    (v) => sql`
    select ${selected(table, table)}, ${versionOf(table)},
      ${isOwnOrShared(table, ownership, askerParameters.asker)} or ${askerParameters.superuser} as ${sql.identifier(IS_ALLOWED)}
    from ${table} where ${isThere(table, v.id)}`,
  )

/** Writes what is sent of the fields. Takes `bodyValues` as well. */
const compileUpdate = (table: RevealedTable, ownership: Ownership) =>
  statement<Target, Found>(`update ${getTableName(table)}`, (v) => {
    const isAllowed = mayChange(table, ownership, askerParameters)
    return sql`
    with "written row" as (
      update ${table} set ${commaSeparated(inputsOfChange(table, ownership.fields).map(assignment))}
      where ${isThere(table, v.id)} and ${isAllowed} and ${isVersion(table, v.if_match)}
      returning ${selected(table, table)}, ${versionOf(table)}
    )
    ${writtenIfAllowed(table, v.id, isAllowed)}`
  })

const compileDelete = (table: RevealedTable) =>
  statement<Target, Found>(`delete ${getTableName(table)}`, (v) => {
    const isAllowed = mayDelete(table, askerParameters)
    return sql`
    with "written row" as (
      delete from ${table}
      where ${isThere(table, v.id)} and ${isAllowed} and ${isVersion(table, v.if_match)}
      returning ${selected(table, table)}, ${versionOf(table)}
    )
    ${writtenIfAllowed(table, v.id, isAllowed)}`
  })

/** The written row, and whether the asker might write the row as it was: tells 403, 404 and 412 apart. */
const writtenIfAllowed = (
  table: RevealedTable,
  id: SQL,
  isAllowed: SQL,
) => sql`select "written row".*, ${isAllowed} as ${sql.identifier(IS_ALLOWED)}
    from ${table} left join "written row" on true
    where ${isThere(table, id)}`
