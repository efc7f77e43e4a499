import { count, eq, gt, inArray, lt, sql } from 'drizzle-orm'
import { knownNetworks as known, retention } from '../../config/limits.ts'
import { type Batch, inBatches } from './batches.ts'
import type { Database } from '../connect.ts'
import { changing, deletion, removal } from './removal.ts'
import {
  emails,
  idempotencyKeys,
  knownNetworks,
  oneTimeTokens,
  rateLimits,
  rowCounts,
  sessions,
  users,
} from '../tables.ts'

/** What one table may take of a turn; the others come to theirs. */
const CHORE_MS = 20_000

/** Told of what failed. */
type Failed = (error: unknown, chore: string) => void

/**
 * Removes rows that are over, each table by itself: one that fails or takes long stops no other. Any number of processes
 * may do so at once.
 *
 * @returns a turn over all tables; where it is not told whom to tell of a failure, it throws that at its end
 */
export function reaper(db: Database): (signal?: AbortSignal, failed?: Failed) => Promise<void> {
  const removing = removal(db)
  const batches = Object.entries(chores(db))
  const never = new AbortController().signal
  return async (signal = never, failed) => {
    const failures: unknown[] = []
    const attempt = async (chore: string, work: (signal: AbortSignal) => Promise<unknown>) => {
      if (signal.aborted) return
      try {
        await work(AbortSignal.any([signal, AbortSignal.timeout(CHORE_MS)]))
      } catch (error) {
        if (failed) failed(error, chore)
        else failures.push(error)
      }
    }
    await attempt('deleted users', (soon) => removing.ofAll(soon))
    for (const [chore, batch] of batches) await attempt(chore, (soon) => inBatches(batch, soon))
    if (failures.length > 0) throw failures[0]
  }
}

/** How long rows stay, for every table that grows by itself; README has the same list. Each condition has an index. */
function chores(db: Database): Record<string, Batch> {
  const age = (days: number) => sql`now() - make_interval(days => ${days}::integer)`
  return {
    sessions: deletion(db, sessions, sql`${sessions.expires_at} < now()`),
    'one-time tokens': deletion(db, oneTimeTokens, sql`${oneTimeTokens.expires_at} < now()`),
    limits: deletion(
      db,
      rateLimits,
      sql`greatest(${rateLimits.forgotten_at}, ${rateLimits.resumes_at}) < now()`,
    ),
    'sent mails': deletion(db, emails, sql`${emails.sent_at} < ${age(retention.sentMailDays)}`),
    // Parked, or never sent: their links are dead, and superusers had the time to look at them.
    mails: deletion(db, emails, sql`${emails.created_at} < ${age(retention.mailDays)}`),
    'idempotency keys': deletion(
      db,
      idempotencyKeys,
      sql`${idempotencyKeys.created_at} < ${age(retention.idempotencyKeyDays)}`,
    ),
    'known networks': deletion(db, knownNetworks, sql`${knownNetworks.signed_in_at} < ${age(known.days)}`),
    'addresses of sign-ups': changing(
      db,
      users,
      sql`${users.registered_from} is not null and ${users.created_at} < ${age(retention.registeredFromDays)}`,
      (rows) => sql`update ${users} set registered_from = null where ctid = any(array(${rows}))`,
    ),
    'ended sessions': endedSessions(db),
    'counts of rows': summedUp(db),
  }
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Deletes sessions that a higher `credentials_version` ended and another process left when it was ended itself. Looks at
 * all sessions once, in the order of their ids: no index finds these.
 */
function endedSessions(db: Database): Batch {
  let after: string | undefined = FIRST_ID
  return async (size) => {
    if (after === undefined) return 0
    const page = db
      .$with('page')
      .as(
        db
          .select({ id: sessions.id, user_id: sessions.user_id, version: sessions.credentials_version })
          .from(sessions)
          .where(gt(sessions.id, after))
          .orderBy(sessions.id)
          .limit(size),
      )
    const ended = db
      .select({ id: page.id })
      .from(page)
      .innerJoin(users, eq(users.id, page.user_id))
      .where(lt(page.version, users.credentials_version))
    const free = sql`select ${sessions.id} from ${sessions} where ${inArray(sessions.id, ended)} for update skip locked`
    const deleted = db.$with('deleted').as(
      db
        .delete(sessions)
        .where(sql`${sessions.id} = any(array(${free}))`)
        .returning({ id: sessions.id }),
    )
    const last = sql<string>`max(${page.id}::text)`
    const [found] = await db.with(page, deleted).select({ looked: count(), last }).from(page)
    after = found?.looked === size ? found.last : undefined
    return found?.looked ?? 0
  }
}

/** Rows that are left for the writes themselves to sum up (migrations). */
const FEW = 1_000

/** Sums up what writes have left, where that is much. */
const summedUp =
  (db: Database): Batch =>
  async (size) => {
    const isMuch = sql`(select count(*) from (select from ${rowCounts} limit ${literal(FEW)}) as few) = ${literal(FEW)}`
    const rows = sql`select ctid from ${rowCounts} where ${isMuch} limit ${literal(size)} for update skip locked`
    const summed = db
      .$with('summed', { table_name: rowCounts.table_name, delta: rowCounts.delta })
      .as(sql`delete from ${rowCounts} where ctid = any(array(${rows})) returning table_name, delta`)
    const added = db
      .$with('added')
      .as(
        sql`insert into ${rowCounts} (table_name, delta) select table_name, sum(delta) from ${summed} group by table_name` as never,
      )
    const [found] = await db.with(summed, added).select({ rows: count() }).from(summed)
    return found?.rows ?? 0
  }

const literal = (number: number) => sql.raw(String(number))
