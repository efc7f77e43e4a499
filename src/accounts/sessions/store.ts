import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { endSessions, keepSession } from '../ended-sessions.ts'
import { type PageOf, type PageRequest, preparePages } from '../../ownership/page.ts'
import { value, whenNeeded } from '../../database/statements.ts'
import { sessions as table, users } from '../../database/tables.ts'
import { SessionNotFound } from '../../contract/errors.ts'

/** Whose sessions, and in which of them they ask. */
interface Asker {
  readonly id: string
  readonly session_id: string
}

type Session = Pick<
  typeof table.$inferSelect,
  'id' | 'created_at' | 'last_used_at' | 'expires_at' | 'user_agent' | 'ip_address'
> & { is_current: boolean }

export interface SessionStore {
  /** Those that are live, newest first. */
  page(asker: Asker, request: PageRequest<'created_at'>): Promise<PageOf<Session>>
  /** @throws SessionNotFound where it is not the asker's */
  end(asker: Asker, id: string): Promise<void>
  endOthers(asker: Asker): Promise<void>
}

/** Of the value of `user`: not over, and opened with the credentials of today. */
const isLive = and(
  eq(table.user_id, value('user')),
  sql`${table.credentials_version} = (
    select ${users.credentials_version} from ${users} where ${users.id} = ${value('user')}
  )`,
  sql`${table.expires_at} > now()`,
)

export function sessionStore(db: Database): SessionStore {
  const run = whenNeeded(() => prepare(db))
  const read = preparePages<typeof table.$inferSelect>(db, table, [], isLive)
  return {
    async page({ id, session_id }, request) {
      const page = await read(request, { user: id })
      const data = page.data.map((row) => Object.assign(row, { is_current: row.id === session_id }))
      return { ...page, data }
    },
    async end({ id }, session) {
      const ended = await run().end.execute({ user: id, session })
      if (ended.length === 0) throw new SessionNotFound()
    },
    endOthers: async ({ id, session_id }) =>
      void (await run().endOthers.execute({ user: id, current: session_id })),
  }
}

function prepare(db: Database) {
  const ofUser = eq(table.user_id, value('user'))
  // The user first, as in every statement that ends several sessions: in no order of their own do two block each other.
  const owner = db.$with('owner').as(
    db
      .update(users)
      .set({ credentials_version: sql`${users.credentials_version} + 1` })
      // Whoever asks in a session that another request ended meanwhile ends none.
      .where(
        and(
          eq(users.id, value('user')),
          sql`exists (
            select from ${table} where ${table.id} = ${value('current')} and ${table.user_id} = ${users.id}
              and ${table.credentials_version} = ${users.credentials_version}
          )`,
        ),
      )
      .returning({ id: users.id, credentials_version: users.credentials_version }),
  )
  const kept = db.$with('kept').as(keepSession(db, owner, value('current')))
  const ids = db.select({ id: owner.id }).from(owner)
  const ended = db
    .$with('ended')
    .as(endSessions(db, and(inArray(table.user_id, ids), ne(table.id, value('current')))))
  return {
    end: db
      .delete(table)
      .where(and(ofUser, eq(table.id, value('session'))))
      .returning({ id: table.id })
      .prepare('sessions_end'),
    endOthers: db.with(owner, kept, ended).select().from(owner).prepare('sessions_end_others'),
  }
}
