import { Readable } from 'node:stream'
import type { TObject } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import { type SignedIn, type SignedInApp, components } from '../contract/contract.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { type Given, condition } from '../ownership/list/selection.ts'
import type { OwnedTable } from '../ownership/owned-table.ts'
import type { DeclaredResource } from '../ownership/resource.ts'
import { listApiKeys } from './api-keys/manage-api-keys.ts'
import { readActivity } from './audit/read-audit.ts'
import { type Trail, audit, trailOf } from './audit/audit.ts'
import { listFactors } from './factors/manage-factors.ts'
import { listIdentities } from './identities/manage-identities.ts'
import { listPasskeys } from './passkeys/manage-passkeys.ts'
import { exportAccount } from './schemas/export.ts'
import { listSessions } from './sign-out.ts'

type SignedInRequest = FastifyRequest & SignedIn
type Row = object & { readonly owner_id: string }

/** Rows that are read at a time: an export holds no more of them than that. */
const AT_ONCE = 1_000

/**
 * Everything that is the user's, as one file: POST /users/me/export. It is written while it is read, a page at a time, so
 * that a hundred thousand rows take no more memory than a thousand; what fails on the way breaks the file off.
 *
 * @param resources whose rows are in it
 */
export const accountExport =
  (resources: readonly DeclaredResource[]) =>
  (app: SignedInApp): void => {
    const lists = {
      factors: listFactors(app),
      passkeys: listPasskeys(app),
      identities: listIdentities(app),
      api_keys: listApiKeys(app),
    }
    const [sessions, activity] = [listSessions(app), readActivity(app)]
    const owned = resources.map(({ table, tag, schemas }) => {
      const declared = table as OwnedTable<Row>
      // Superusers read everybody's rows, and export their own.
      const mine = condition(
        declared,
        'export',
        (row, v: Given<{ owner: string }>) => sql`${row.owner_id} = ${v.owner}::uuid`,
      )
      return { name: tag.name, declared, mine, shown: fieldsOf(String(schemas.Public.$ref)) }
    })

    async function* parts(request: SignedInRequest) {
      const { user } = request
      yield `{"user":${JSON.stringify(fieldsOf('UserPublic')(user))}`
      const { data } = await sessions({ limit: AT_ONCE }, user)
      yield `,"sessions":${JSON.stringify(data.map(fieldsOf('SessionPublic')))}`
      for (const [name, list] of Object.entries(lists))
        yield `,"${name}":${JSON.stringify((await list(request)).data)}`
      const events = (cursor?: string) => activity({ limit: AT_ONCE, cursor }, request)
      yield* array(',"activity":', events, fieldsOf('AuditEventPublic'))
      for (const [at, { name, declared, mine, shown }] of owned.entries()) {
        const rows = request.owned(declared).where(mine, { owner: user.id })
        const page = (cursor?: string) =>
          rows.page({ limit: AT_ONCE, ...(cursor !== undefined && { cursor }) })
        yield* array(`${at === 0 ? ',"resources":{' : ','}${JSON.stringify(name)}:`, page, shown)
      }
      yield owned.length === 0 ? ',"resources":{}}' : '}}'
    }

    app.post('/users/me/export', { schema: exportAccount }, async (request, reply) => {
      await request.limit('exports', request.user.id)
      await app.db.run(noteExport, { user: request.user.id, ...trailOf(request) })
      request.record('account_exported')
      return reply
        .type('application/json; charset=utf-8')
        .headers({
          'cache-control': 'no-store',
          'content-disposition': 'attachment; filename="account.json"',
        })
        .send(Readable.from(parts(request)))
    })
  }

const noteExport = statement<Trail & { user: string }>(
  'note export',
  (v) => sql`
    with account as (select id from ${users} where id = ${v.user}),
    ${audit('account_exported', 'account', v)}
    select from account`,
)

/** The fields of a component, and no other that a row may have. */
function fieldsOf(component: string): (row: object) => object {
  const names = Object.keys((components.get(component.replace('#', '')) as TObject).properties)
  return (row) => Object.fromEntries(names.map((name) => [name, row[name as keyof typeof row]]))
}

interface Page {
  readonly data: readonly object[]
  readonly next_cursor: string | null
}

/** A list, a page at a time. */
async function* array(
  before: string,
  page: (cursor?: string) => Promise<Page>,
  shown: (row: object) => object,
) {
  yield `${before}[`
  let cursor: string | null | undefined
  for (let isFirst = true; cursor !== null; isFirst = false) {
    const { data, next_cursor } = await page(cursor)
    const texts = data.map((row) => JSON.stringify(shown(row))).join(',')
    yield isFirst || texts === '' ? texts : `,${texts}`
    cursor = next_cursor
  }
  yield ']'
}
