import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import { type Asker, type OwnedRows, type Versioned, ownedRows } from './owned.ts'
import { type OwnedTable, isOwned } from '../database/owned-table.ts'
import * as schema from '../database/tables.ts'
import type { PageOf, PageRequest } from './page.ts'

declare module '../contract/contract.ts' {
  interface SignedIn {
    /** Rows of a table with owners, with the permissions of the signed-in user. */
    owned<Row, Field extends string, Sort extends string>(
      table: OwnedTable<Row, Field, Sort>,
    ): OwnedByAsker<Row, Field, Sort>
  }
}

/** `OwnedRows` for one request: who is asking, and `If-Match`, come from it. */
export interface OwnedByAsker<Row, Field extends string, Sort extends string> {
  page(request: PageRequest<Sort>): Promise<PageOf<Row>>
  get(id: string): Promise<Row>
  create(fields: Partial<Record<Field, unknown>>): Promise<Row>
  update(id: string, fields: Partial<Record<Field, unknown>>): Promise<Row>
  delete(id: string): Promise<void>
}

/** `request.owned(table)`: the only access to a table with owners, always as the signed-in user. */
export const ownership = plugin(
  (app, _options, done) => {
    const tables = new Map<object, unknown>()
    const rowsOf = <Row, Field extends string, Sort extends string>(table: OwnedTable<Row, Field, Sort>) => {
      const known = tables.get(table) as OwnedRows<Row, Field, Sort> | undefined
      const rows = known ?? ownedRows(app.db, table, app.config.MAX_ROWS_PER_USER)
      tables.set(table, rows)
      return rows
    }
    // At the start, so that a table for which no statements can be written stops it.
    const declared: unknown[] = Object.values(schema)
    for (const table of declared) if (isOwned(table)) rowsOf(table)
    app.decorateRequest('owned', function <
      Row,
      Field extends string,
      Sort extends string,
    >(this: FastifyRequest, table: OwnedTable<Row, Field, Sort>) {
      const rows = rowsOf(table)
      const asker = this.user as Asker
      const answer = async (found: Promise<Versioned<Row>>) => {
        const { row, version } = await found
        app.conditions.note(row as object, { table: rows.table, id: (row as { id: string }).id, version })
        return row
      }
      const toMatch = (id: string) => app.conditions.toMatch(this, { table: rows.table, id })
      return {
        page: (request) => rows.page(asker, request, () => !this.ended),
        get: (id) => answer(rows.get(asker, id)),
        create: async (fields) => {
          const key = idempotencyKey(this)
          if (key !== undefined) await this.limit('idempotency_keys', asker.id)
          return answer(rows.create(asker, fields, key))
        },
        update: (id, fields) => answer(rows.update(asker, id, fields, toMatch(id))),
        delete: (id) => rows.delete(asker, id, toMatch(id)),
      } satisfies OwnedByAsker<Row, Field, Sort>
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
