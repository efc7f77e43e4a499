import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Runs } from '../database/statement.ts'
import type { Asker } from './access.ts'
import type { FilterRequest } from './list/filters.ts'
import type { PageOf, PageRequest } from './list/page.ts'
import type { Condition, Selection } from './list/selection.ts'
import { type OwnedRows, type Versioned, ownedRows } from './owned.ts'
import { type OwnedTable, isOwned } from './owned-table.ts'

declare module '../contract/contract.ts' {
  interface SignedIn {
    /**
     * Rows of a table with owners, with the permissions of the signed-in user.
     *
     * @param transaction that they are read and written in: `app.db.transaction(async (transaction) => …)`
     */
    owned<Row, Body extends object, Sort extends string, Filter extends string>(
      table: OwnedTable<Row, Body, Sort, Filter>,
      transaction?: Runs,
    ): OwnedByAsker<Row, Body, Sort, Filter>
  }
}

/** `OwnedRows` for one request: who is asking, and `If-Match`, come from it. */
export interface OwnedByAsker<Row, Body, Sort extends string, Filter extends string> extends Omit<
  Selection<Row, Sort>,
  'page'
> {
  page(request: PageRequest<Sort> & FilterRequest<Filter>): Promise<PageOf<Row>>
  get(id: string): Promise<Row>
  create(body: Body): Promise<Row>
  /** All of them, or none. */
  createAll(bodies: readonly Body[]): Promise<Row[]>
  update(id: string, body: Partial<Body>): Promise<Row>
  delete(id: string): Promise<void>
  /** The part of the rows for which a condition holds. */
  where<Given extends object>(
    condition: Condition<Row, Given>,
    ...given: keyof Given extends never ? [] : [Given]
  ): Selection<Row, Sort>
}

/** `request.owned(table)`: the only access to a table with owners, always as the signed-in user. */
export const ownership = plugin(
  (app, { tables }: { tables: readonly object[] }, done) => {
    const known = new Map<object, unknown>()
    const rowsOf = <Row, Body extends object, Sort extends string>(table: OwnedTable<Row, Body, Sort>) => {
      const found = known.get(table) as OwnedRows<Row, Body, Sort> | undefined
      const rows = found ?? ownedRows(app.db, table, app.config.MAX_ROWS_PER_USER)
      known.set(table, rows)
      return rows
    }
    // At the start, so that a table for which no statements can be written stops it.
    for (const table of tables) if (isOwned(table)) rowsOf(table)
    app.decorateRequest('owned', function <
      Row,
      Body extends object,
      Sort extends string,
      Filter extends string,
    >(this: FastifyRequest, table: OwnedTable<Row, Body, Sort, Filter>, transaction?: Runs) {
      const rows = rowsOf<Row, Body, Sort>(table)
      const asker = this.user as Asker
      const answer = async (found: Promise<Versioned<Row>>) => {
        const { row, version } = await found
        app.conditions.note(row as object, { table: rows.table, id: (row as { id: string }).id, version })
        return row
      }
      const toMatch = (id: string) => app.conditions.toMatch(this, { table: rows.table, id })
      const keyOf = async () => {
        const key = idempotencyKey(this)
        // Counted on another connection, of which the embedded database has none beside a transaction.
        if (key !== undefined && !transaction) await this.limit('idempotency_keys', asker.id)
        return key
      }
      const all = () => rows.select(asker, undefined, {}, transaction)
      return {
        page: (request) => rows.page(asker, request, () => !this.ended, transaction),
        get: (id) => answer(rows.get(asker, id, transaction)),
        create: async (body) => answer(rows.create(asker, body, await keyOf(), transaction)),
        createAll: async (bodies) => rows.createAll(asker, bodies, await keyOf(), transaction),
        update: (id, body) => answer(rows.update(asker, id, body, toMatch(id), transaction)),
        delete: (id) => rows.delete(asker, id, toMatch(id), transaction),
        where: (condition, ...[given]) => rows.select(asker, condition, given, transaction),
        count: () => all().count(),
        sum: (field) => all().sum(field),
        min: (field) => all().min(field),
        max: (field) => all().max(field),
      } satisfies OwnedByAsker<Row, Body, Sort, Filter>
    })
    done()
  },
  { name: 'ownership', dependencies: ['auth', 'conditions', 'database'] },
)

/** The Idempotency-Key of a creation, checked by its schema. */
function idempotencyKey({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  return key === undefined ? undefined : String(key)
}
