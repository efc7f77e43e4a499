import { sql } from 'drizzle-orm'
import { knownNetworks as known, retention } from '../../config/limits.ts'
import { type Batch, changing, deletion, inBatches, literal, rowsOf } from './batches.ts'
import type { Database } from '../connect.ts'
import { removal } from './removal.ts'
import {
  addressChanges,
  auditEvents,
  emails,
  idempotencyKeys,
  knownNetworks,
  loginChallenges,
  oidcCodes,
  oidcStates,
  oneTimeTokens,
  passkeyChallenges,
  rateLimits,
  sessions,
  users,
} from '../tables.ts'

/** The most that one chore may take, so that the others are reached. */
const CHORE_MS = 20_000

type OnFailure = (error: unknown, chore: string) => void

/**
 * Deletes expired rows. Each table is a chore by itself: one that fails or takes long stops no other. Any number of
 * processes may do so at once.
 *
 * @param resources tables beside those of tables.ts
 * @param auditDays how long rows of the audit are kept
 * @param more chores beside those
 * @returns a function that does all chores once. Without `onFailure` it throws the first failure when all are done
 */
export function reaper(
  db: Database,
  resources: readonly object[],
  auditDays = 365,
  more: Record<string, Batch> = {},
): (signal?: AbortSignal, onFailure?: OnFailure) => Promise<void> {
  const removing = removal(db, resources)
  const batches = Object.entries({ ...chores(db, auditDays), ...more })
  const never = new AbortController().signal
  return async (signal = never, onFailure) => {
    const failures: unknown[] = []
    const attempt = async (chore: string, work: (signal: AbortSignal) => Promise<unknown>) => {
      if (signal.aborted) return
      try {
        await work(AbortSignal.any([signal, AbortSignal.timeout(CHORE_MS)]))
      } catch (error) {
        if (onFailure) onFailure(error, chore)
        else failures.push(error)
      }
    }
    await attempt('deleted users', (timeout) => removing.ofAll(timeout))
    for (const [chore, batch] of batches) await attempt(chore, (timeout) => inBatches(batch, timeout))
    if (failures.length > 0) throw failures[0]
  }
}

/** How long rows are kept, for every table that grows by itself; docs/operations.md has the same list. Each condition has an index. */
function chores(db: Database, auditDays: number): Record<string, Batch> {
  const daysAgo = (days: number) => sql`now() - interval '${literal(days)} days'`
  return {
    sessions: deletion(db, sessions, sql`expires_at < now()`),
    'one-time tokens': deletion(db, oneTimeTokens, sql`expires_at < now()`),
    'changes of address': deletion(db, addressChanges, sql`expires_at < now()`),
    challenges: deletion(db, loginChallenges, sql`expires_at < now()`),
    'ways to identity providers': deletion(db, oidcStates, sql`expires_at < now()`),
    'sign-ins of identity providers': deletion(db, oidcCodes, sql`expires_at < now()`),
    'challenges of passkeys': deletion(db, passkeyChallenges, sql`expires_at < now()`),
    limits: deletion(db, rateLimits, sql`greatest(forgotten_at, resumes_at) < now()`),
    'sent mails': deletion(db, emails, sql`sent_at < ${daysAgo(retention.sentMailDays)}`),
    // Parked or never sent: their links have expired, and superusers had the time to look at them.
    mails: deletion(db, emails, sql`created_at < ${daysAgo(retention.mailDays)}`),
    'idempotency keys': deletion(
      db,
      idempotencyKeys,
      sql`created_at < ${daysAgo(retention.idempotencyKeyDays)}`,
    ),
    audit: deletion(db, auditEvents, sql`created_at < ${daysAgo(auditDays)}`),
    'known networks': deletion(db, knownNetworks, sql`signed_in_at < ${daysAgo(known.days)}`),
    'addresses of sign-ups': changing(
      db,
      users,
      sql`registered_from is not null and created_at < ${daysAgo(retention.registeredFromDays)}`,
      (rows) => sql`update ${users} set registered_from = null where ctid = any(array(${rows}))`,
    ),
    'ended sessions': endedSessions(db),
  }
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Deletes sessions that a higher `credentials_version` has ended, and that a process which was killed has left. No index
 * finds them, so this reads all sessions once after a start, in the order of their ids.
 */
function endedSessions(db: Database): Batch {
  let after: string | undefined = FIRST_ID
  return async (size) => {
    if (after === undefined) return 0
    const answer = await db.execute(sql`
      with page as (
        select id, user_id, credentials_version from ${sessions}
        where id > ${after} order by id limit ${literal(size)}
      ),
      ended as (
        select page.id from page join ${users} on ${users.id} = page.user_id
        where page.credentials_version < ${users.credentials_version}
      ),
      deleted as (
        delete from ${sessions} where id = any(array(
          select id from ${sessions} where id in (select id from ended) for update skip locked
        ))
      )
      select count(*)::integer as rows, max(id::text) as last from page`)
    const [page] = rowsOf<{ rows: number; last: string | null }>(answer)
    const { rows, last } = page!
    after = rows === size ? (last ?? undefined) : undefined
    return rows
  }
}
