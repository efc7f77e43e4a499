import { getTableColumns, getTableName } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { IdempotencyKeyReused, NotEnoughPermissions, PreconditionFailed } from '../contract/errors.ts'
import type { Database } from '../database/connect.ts'
import { rowQuota } from './quota.ts'
import { keyValues } from './idempotency.ts'
import { VERSION, prepareOwned } from './owned-statements.ts'
import { refusalsOf } from './owned-refusals.ts'
import { type OwnedTable, type RevealedTable, reveal } from '../database/owned-table.ts'
import type { PageOf, PageRequest } from './page.ts'
import { assignments, givenIn, givesValues } from '../database/statements.ts'

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
 * Prepares the statements of one owned table.
 *
 * @param most rows that one owner may have
 */
export function ownedRows<Row, Field extends string, Sort extends string>(
  db: Database,
  owned: OwnedTable<Row, Field, Sort>,
  most = 100_000,
): OwnedRows<Row, Field, Sort> {
  const { table, ownership } = reveal(owned)
  const { fields, notFound } = ownership
  const run = prepareOwned<Row, Sort>(db, table, ownership)
  const assigned = assignments(fields)
  const columns = Object.keys(getTableColumns(table))
  const adding = rowQuota(most, async (asker) => {
    const [counted] = await run.count.execute({ asker, most })
    return counted!
  })
  const { whenCreated, whenChanged } = functionsOf(table, fields)
  const refusals = refusalsOf(db, table, fields)

  async function get(asker: Asker, id: string) {
    const [found] = await run.get.execute({ id })
    if (!found) throw new notFound()
    if (found.row.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    return found as Versioned<Row>
  }

  /** A write of one row, which says whose the row was, and the row if it was written. `values` are its own to add to. */
  async function write(statement: typeof run.update, { asker, id, versions }: Target, values: Values = {}) {
    values.id = id
    values.asker = asker.id
    values.superuser = asker.is_superuser
    values.if_match = versions?.filter((version) => /^\d+$/.test(version)).join(',') ?? null
    const [found] = await statement.execute(values)
    if (found?.row) return found as Versioned<Row>
    if (found && found.owner_id !== asker.id && !asker.is_superuser) throw new NotEnoughPermissions()
    if (!found || versions === undefined) throw new notFound()
    // Another version, unless the row is gone meanwhile.
    await get(asker, id)
    throw new PreconditionFailed()
  }

  async function create(given: Values) {
    const [made] = (await run.create.execute(given)) as unknown as Values[]
    if (!made) return undefined
    const row: Values = {}
    for (const name of columns) row[name] = made[name] // a rest would be a slow object
    return { row, version: made[VERSION] } as Versioned<Row>
  }

  async function createOnce(given: Values, key: string, body: Values) {
    const [made] = await run.createOnce.execute({ ...given, ...keyValues(table, key, sentOf(body)) })
    if (!made) return undefined
    if (!made.isSameBody) throw new IdempotencyKeyReused()
    return { row: made.row, version: made.version } as Versioned<Row>
  }

  /** A field that is not sent is one that is null, but where that is another row. */
  const sentOf = (body: Values) =>
    fields.map((field) => {
      const { default: fixed, defaultFn, onUpdateFn } = table[field]!
      const hasDefault = [fixed, defaultFn, onUpdateFn].some((found) => found !== undefined)
      const given = givenIn(body, field)
      return given === undefined && hasDefault ? [] : (given ?? null)
    })

  return {
    table: getTableName(table),
    page: (asker, request, isWanted) =>
      asker.is_superuser
        ? run.pageOfAll(request, {}, isWanted)
        : run.pageOfOwner(request, { asker: asker.id }, isWanted),
    get: (asker, id) => refusals.ofRead(id, get(asker, id), notFound),
    async create(asker, body, key) {
      refusals.refuseTooDeep(body)
      const given = assigned(filledIn(body, whenCreated))
      given.asker = asker.id
      const added = adding(asker.id, (room) => {
        Object.assign(given, room)
        return key === undefined ? create(given) : createOnce(given, key, body)
      })
      return refusals.ofCreation(body, added)
    },
    async update(asker, id, body, versions) {
      refusals.refuseTooDeep(body)
      const changes = assigned(filledIn(body, whenChanged))
      return refusals.ofChange(id, body, write(run.update, { asker, id, versions }, changes), notFound)
    },
    async delete(asker, id, versions) {
      await refusals.ofDeletion(id, write(run.delete, { asker, id, versions }), notFound)
    },
  }
}

/** What a statement is run with, or a body gives, by name. */
type Values = Record<string, unknown>

/** Values that a column's own functions give where a body has none: `$default()` and `$onUpdate()`. */
type Functions = readonly (readonly [field: string, make: () => unknown])[]

function functionsOf(table: RevealedTable, fields: readonly string[]) {
  const of = (make: (column: PgColumn) => (() => unknown) | undefined): Functions =>
    fields.flatMap((field) => {
      const found = make(table[field]!)
      return found && givesValues(found) ? [[field, found] as const] : []
    })
  return {
    whenCreated: of(
      (column) => column.defaultFn ?? (column.default === undefined ? column.onUpdateFn : undefined),
    ),
    whenChanged: of((column) => column.onUpdateFn),
  }
}

function filledIn(body: Values, functions: Functions): Values {
  if (functions.length === 0) return body
  const filled = { ...body }
  for (const [field, make] of functions) if (givenIn(body, field) === undefined) filled[field] = make()
  return filled
}

/** What a write is about: which row, for whom, and which versions of it. */
interface Target {
  readonly asker: Asker
  readonly id: string
  readonly versions: readonly string[] | undefined
}
