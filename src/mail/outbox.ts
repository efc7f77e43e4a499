import { type SQL, type SQLWrapper, and, eq, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { newRow, value, whenNeeded } from '../database/statements.ts'
import { type MessageName, emails, oneTimeTokens } from '../database/tables.ts'
import type { MailParams } from './messages.ts'

/**
 * The outbox: a mail is a row, written by the statement that is its cause, so that there is never one without the
 * other. It names a message and a token's id, and holds no link: links are made when it is sent or looked at.
 */

/**
 * A part of a statement that puts a mail for each row of `source` into the outbox.
 *
 * @param enabled whether mails are made at all
 */
export function queuedMail(
  db: Database,
  source: WithSubquery,
  message: MessageName,
  of: {
    user_id: SQLWrapper
    recipient: SQLWrapper
    token_id?: SQLWrapper
    params?: SQLWrapper
    next_attempt_at?: SQLWrapper
  },
  enabled = true,
) {
  const row = newRow(emails, { ...of, message: sql`${message}` })
  return db.$with(`mail_${message}`).as(
    db
      .insert(emails)
      .select((qb) =>
        qb
          .select(row as never)
          .from(source)
          .where(enabled ? undefined : sql`false`),
      )
      .returning({ id: emails.id }),
  )
}

/** What a mail says of its cause: where it came from; null for a superuser's doing. */
export const from = (address: SQLWrapper) => sql`jsonb_build_object('from', ${address})`

const tokenEnds = sql`(
  select ${oneTimeTokens.expires_at} from ${oneTimeTokens}
  where ${oneTimeTokens.id} = ${emails.token_id} and ${oneTimeTokens.expires_at} > now()
)`

/** What a mail is composed from, with its id. */
export const mailContent = {
  id: emails.id,
  message: emails.message,
  recipient: emails.recipient,
  params: emails.params,
  created_at: emails.created_at,
  token_id: emails.token_id,
  valid_until: tokenEnds.mapWith(oneTimeTokens.expires_at),
}

/** A mail that a deliverer has taken for the time of its lease. */
export interface ClaimedMail {
  readonly id: string
  readonly message: MessageName
  readonly recipient: string
  readonly params: MailParams
  readonly created_at: Date
  readonly attempts: number
  readonly token_id: string | null
  /** When its token ends; null where it has none, or none that lives. */
  readonly valid_until: Date | null
}

/** What is not sent. */
export interface Backlog {
  readonly waiting: number
  /** Age of the oldest that waits; 0 where none does. */
  readonly oldest_seconds: number
  /** Given up. */
  readonly parked: number
}

export interface Outbox {
  /** Puts one mail in that has no other cause than the call. */
  add(message: MessageName, recipient: string): Promise<void>
  /** Takes a mail that is due, if there is one: it is this caller's until the lease ends, and due again then. */
  claim(): Promise<ClaimedMail[]>
  sent(id: string): Promise<void>
  /** Due again in so many seconds; unless its lease ended, and another attempt began. */
  failed(attempt: Attempt, error: string, retryInSeconds: number): Promise<void>
  /** Put aside: it can't be sent, and says why; unless its lease ended, and another attempt began. */
  parked(attempt: Attempt, error: string): Promise<void>
  backlog(): Promise<Backlog>
}

/** Which attempt at which mail. */
type Attempt = Pick<ClaimedMail, 'id' | 'attempts'>

/**
 * Milliseconds that an attempt may take as a whole, from before its claim. Mail servers that answer each command late
 * (25 s, to slow down spam) get through with it.
 */
export const ATTEMPT_MS = 240_000

/** A lease is longer than an attempt, by what the answer to a claim and the end of a connection may take. */
const leaseOf = (attemptMs: number) => attemptMs + Math.min(attemptMs / 2, 60_000)

const isWaiting = sql`${emails.sent_at} is null and ${emails.parked_at} is null`
const ERROR_LENGTH = 500

export function outbox(db: Database, attemptMs = ATTEMPT_MS): Outbox {
  const run = whenNeeded(() => prepare(db, leaseOf(attemptMs)))
  return {
    add: async (message, recipient) => void (await run().add.execute({ message, recipient })),
    claim: () => run().claim.execute(),
    async backlog() {
      const [found] = await run().backlog.execute()
      return found ?? { waiting: 0, oldest_seconds: 0, parked: 0 }
    },
    sent: async (id) => void (await run().sent.execute({ id })),
    failed: async ({ id, attempts }, error, seconds) =>
      void (await run().failed.execute({ id, attempts, error: kept(error), seconds })),
    parked: async ({ id, attempts }, error) =>
      void (await run().parked.execute({ id, attempts, error: kept(error) })),
  }
}

const inSeconds = (seconds: unknown) => sql`now() + make_interval(secs => ${seconds}::double precision)`

function prepare(db: Database, leaseMs: number) {
  const due = db.$with('due').as(
    db
      .select({ id: emails.id })
      .from(emails)
      .where(sql`${isWaiting} and ${emails.next_attempt_at} <= now()`)
      .orderBy(emails.next_attempt_at)
      // One at a time: what waits behind another in a process would use up its lease there.
      .limit(1)
      .for('update', { skipLocked: true }),
  )
  const claim = db
    .with(due)
    .update(emails)
    .set({ attempts: sql`${emails.attempts} + 1`, next_attempt_at: inSeconds(leaseMs / 1000) })
    .from(due)
    .where(eq(emails.id, due.id))
    .returning({ ...mailContent, attempts: emails.attempts })
    .prepare('outbox_claim')

  const mark = (name: string, condition: SQL | undefined, set: Record<string, SQL>) =>
    db
      .update(emails)
      .set(set)
      .where(and(eq(emails.id, value('id')), condition))
      .prepare(`outbox_${name}`)
  const isSameAttempt = eq(emails.attempts, value('attempts'))
  const error = sql`${value('error')}`
  const add = db
    .insert(emails)
    .values({ message: value('message') as never, recipient: value('recipient') })
    .prepare('outbox_add')
  const sent = mark('sent', undefined, { sent_at: sql`now()`, last_error: sql`null` })
  const parked = mark('parked', isSameAttempt, { parked_at: sql`now()`, last_error: error })
  const failed = mark('failed', isSameAttempt, {
    next_attempt_at: inSeconds(value('seconds')),
    last_error: error,
  })
  return { add, claim, sent, parked, failed, backlog: prepareBacklog(db) }
}

/** What is kept of an error: mail servers that refuse a mail may quote its link. */
const kept = (error: string) => error.replaceAll(/token=[^\s"'<>&]+/g, 'token=…').slice(0, ERROR_LENGTH)

/** Each count reads an index of few rows, however many mails were sent. */
function prepareBacklog(db: Database) {
  const waiting = db
    .select({
      waiting: sql<number>`count(*)::integer`.as('waiting'),
      oldest_seconds:
        sql<number>`coalesce(extract(epoch from now() - min(${emails.created_at})), 0)::float8`.as(
          'oldest_seconds',
        ),
    })
    .from(emails)
    .where(isWaiting)
    .as('waiting')
  const parked = db
    .select({ parked: sql<number>`count(*)::integer`.as('parked') })
    .from(emails)
    .where(sql`${emails.parked_at} is not null`)
    .as('parked')
  return db
    .select({ waiting: waiting.waiting, oldest_seconds: waiting.oldest_seconds, parked: parked.parked })
    .from(waiting)
    .innerJoin(parked, sql`true`)
    .prepare('outbox_backlog')
}
