import { and, desc, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Database } from '../../db/connect.ts'
import { value, whenNeeded } from '../../db/statements.ts'
import { sessions as table, users } from '../../db/tables.ts'
import { SessionNotFound } from '../../errors.ts'

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
  list(asker: Asker): Promise<{ data: Session[]; count: number }>
  /** @throws SessionNotFound where it is not the asker's */
  end(asker: Asker, id: string): Promise<void>
  endOthers(asker: Asker): Promise<void>
}

export function sessionStore(db: Database): SessionStore {
  const run = whenNeeded(() => prepare(db))
  return {
    async list({ id, session_id }) {
      const data = await run().list.execute({ user: id, current: session_id })
      return { data, count: data.length }
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
      .select({ id: users.id })
      .from(users)
      .where(eq(users.id, value('user')))
      .for('no key update'),
  )
  return {
    list: db
      .select({
        id: table.id,
        created_at: table.created_at,
        last_used_at: table.last_used_at,
        expires_at: table.expires_at,
        user_agent: table.user_agent,
        ip_address: table.ip_address,
        is_current: sql<boolean>`${table.id} = ${value('current')}`,
      })
      .from(table)
      .innerJoin(users, eq(users.id, table.user_id))
      .where(
        and(
          ofUser,
          eq(table.credentials_version, users.credentials_version),
          sql`${table.expires_at} > now()`,
        ),
      )
      .orderBy(desc(table.created_at), desc(table.id))
      .prepare('sessions_list'),
    end: db
      .delete(table)
      .where(and(ofUser, eq(table.id, value('session'))))
      .returning({ id: table.id })
      .prepare('sessions_end'),
    endOthers: db
      .with(owner)
      .delete(table)
      .where(
        and(inArray(table.user_id, db.select({ id: owner.id }).from(owner)), ne(table.id, value('current'))),
      )
      .prepare('sessions_end_others'),
  }
}
