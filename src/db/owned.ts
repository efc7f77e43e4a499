import { getTableColumns } from 'drizzle-orm'
import {
  IdempotencyKeyReused,
  InvalidCredentials,
  NotEnoughPermissions,
  PreconditionFailed,
} from '../errors.ts'
import type { Database } from './connect.ts'
import { isForeignKeyViolation } from './faults.ts'
import { keyValues } from './idempotency.ts'
import { VERSION, prepareOwned } from './owned-statements.ts'
import { type OwnedTable, reveal } from './owned-table.ts'
import type { PageOf, PageRequest } from './page.ts'
import { assignments } from './statements.ts'

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
  const run = prepareOwned<Row, Sort>(db, table, ownership)
  const assigned = assignments(fields)
  const columns = Object.keys(getTableColumns(table))

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
    const [made] = (await run.create.execute(given)) as unknown as [Values]
    const row: Values = {}
    for (const name of columns) row[name] = made[name] // a rest would be a slow object
    return { row, version: made[VERSION] } as Versioned<Row>
  }

  async function createOnce(given: Values, key: string) {
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
      const given = assigned(body)
      given.asker = asker.id
      try {
        return key === undefined ? await create(given) : await createOnce(given, key)
      } catch (error) {
        if (isForeignKeyViolation(error)) throw new InvalidCredentials()
        throw error
      }
    },
    update: (asker, id, body, versions) => write(run.update, { asker, id, versions }, assigned(body)),
    async delete(asker, id, versions) {
      await write(run.delete, { asker, id, versions })
    },
  }
}

/** What a statement is run with, by name. */
type Values = Record<string, unknown>

/** What a write is about: which row, for whom, and which versions of it. */
interface Target {
  readonly asker: Asker
  readonly id: string
  readonly versions: readonly string[] | undefined
}
