import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import { statement } from '../../database/statement.ts'
import { auditEvents } from '../../database/tables.ts'
import { readCursor, writeCursor } from '../../ownership/list/cursor.ts'

/** What a list of the audit can be asked. */
export interface AuditQuery {
  readonly limit: number
  readonly cursor?: string | undefined
  readonly q?: string | undefined
  readonly event?: string | undefined
  readonly user?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/**
 * Everybody's events, newest first: GET /audit/.
 *
 * @returns what reads a page. @throws InvalidCursor
 */
export function readAudit({ db }: SignedInApp) {
  const page = pagesOf(db)
  return (query: AuditQuery) => page(query, query.user === undefined ? everybodys : ofUser, query.user)
}

/**
 * Events of one's own account, newest first: GET /users/me/activity. Of a superuser's it does not tell from where.
 *
 * @returns what reads a page. @throws InvalidCursor
 */
export function readActivity({ db }: SignedInApp) {
  const page = pagesOf(db)
  return async (query: AuditQuery, { user }: FastifyRequest & SignedIn) => {
    const { data, next_cursor } = await page(query, own, user.id)
    for (const row of data)
      if (row.actor_id !== null && row.actor_id !== user.id)
        Object.assign(row, { ip: null, request_id: null, session_id: null })
    return { data, next_cursor }
  }
}

/** Of a search, a page ends there at the latest: it is answered in bounded time, whatever is searched. */
const LOOKED_AT = 20_000

function pagesOf(db: SignedInApp['db']) {
  return async (query: AuditQuery, list: ReturnType<typeof compileList>, user: string | undefined) => {
    const { limit, cursor, q = '', event = null } = query
    const [from, to] = [query.from, query.to].map((time) => (time === undefined ? null : timeOf(time)))
    const of = { sort: '-created_at', q, filter: JSON.stringify([event, user, from, to]) }
    const after = cursor === undefined ? undefined : readCursor(cursor, of)
    const values = { q, event, from, to, user: user ?? null, limit: limit + 1 }
    const position = { after_at: after?.key ?? null, after_id: after?.id ?? null }
    const look = q === '' ? limit + 1 : Math.max(LOOKED_AT, limit + 1)
    const rows = await db.run(list, { ...values, ...position, look })
    const { looked_at = 0, end_at, end_id } = rows[0] ?? {}
    const found = rows.filter((row): row is Event & Looked => row.id !== null)
    const last = found.length > limit ? found[limit - 1] : undefined
    const end = !last && q !== '' && looked_at === look && end_at ? { created_at: end_at, id: end_id! } : last
    const next_cursor = end ? writeCursor(of, { key: end.created_at.toISOString(), id: end.id }) : null
    const data = found.slice(0, limit).map((row) => Object.assign(row, { at: row.created_at }))
    return { data, next_cursor }
  }
}

/** PostgreSQL knows fewer offsets than RFC 3339, and JavaScript writes years beyond four digits in a way of its own. */
function timeOf(text: string): string {
  const time = new Date(text)
  const year = time.getUTCFullYear()
  if (year < 1) return '-infinity'
  return year > 9999 ? 'infinity' : time.toISOString()
}

interface Asked {
  readonly q: string
  readonly event: string | null
  readonly user: string | null
  readonly from: string | null
  readonly to: string | null
  readonly after_at: string | null
  readonly after_id: string | null
  readonly limit: number
  readonly look: number
}

type Event = typeof auditEvents.$inferSelect

/** How many rows were looked at, and the last of them. */
interface Looked {
  readonly looked_at: number
  readonly end_at: Date | null
  readonly end_id: string | null
}

type Parameters = Readonly<Record<keyof Asked, SQL>>

/** @param rows which of them, as one index has them, each in its order and no more than `look` */
const compileList = (name: string, rows: (v: Parameters, newest: (whose: SQL) => SQL) => SQL) =>
  statement<Asked, Looked & (Event | { readonly id: null })>(
    `read audit: ${name}`,
    (v) => {
      const newest = (whose: SQL) => sql`(
        select * from ${auditEvents} where ${whose}
          and (${v.event}::text is null or event = ${v.event}::text)
          and (${v.from}::timestamptz is null or created_at >= ${v.from}::timestamptz)
          and (${v.to}::timestamptz is null or created_at < ${v.to}::timestamptz)
          and (${v.after_at}::timestamptz is null or (created_at, id) < (${v.after_at}::timestamptz, ${v.after_id}::uuid))
        order by created_at desc, id desc limit ${v.look}::integer
      )`
      return sql`
    with looked as materialized (${rows(v, newest)}),
    found as (
      select * from looked
      where ${v.q}::text = '' or position(lower(${v.q}::text) in lower(concat_ws(' ', event, reason, ip, request_id))) > 0
      order by created_at desc, id desc limit ${v.limit}::integer
    ),
    ends as (
      select (select count(*)::integer from looked) as looked_at, last.created_at as end_at, last.id as end_id
      from (select) as one left join (select created_at, id from looked order by created_at, id limit 1) as last on true
    )
    select ends.*, found.* from ends left join found on true
    order by found.created_at desc, found.id desc`
    },
    { isLong: true },
  )

const everybodys = compileList('everybody', (_v, newest) => newest(sql`true`))
/** Two indexes, each read no further than the page goes. */
const ofUser = compileList(
  'of a user',
  (v, newest) => sql`
      select * from (
        ${newest(sql`actor_id = ${v.user}::uuid`)} union ${newest(sql`subject_id = ${v.user}::uuid`)}
      ) as either order by created_at desc, id desc limit ${v.look}::integer
    `,
)
const own = compileList('own', (v, newest) => newest(sql`subject_id = ${v.user}::uuid`))
