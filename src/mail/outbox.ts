import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { statement } from '../database/statement.ts'
import { type MessageName, addressChanges, emails, oneTimeTokens } from '../database/tables.ts'
import type { MailParams } from './cause.ts'

/**
 * The outbox: mails are rows of `emails`, inserted by the statement that causes them (queue.ts), so that neither is without
 * the other. A row has the name of a message and the id of a token, never a link: links are made when the mail is sent.
 */
export interface Outbox {
  /** Queues a mail that has no other cause than this call. */
  add(message: MessageName, recipient: string): Promise<void>
  /** The mail that has been due for longest, none or one, leased to the caller. When the lease ends, it is due again. */
  claim(): Promise<ClaimedMail | undefined>
  sent(id: string): Promise<void>
  /** Due again in `retryInSeconds`. Does nothing where the lease has ended and another attempt has begun. */
  failed(attempt: Attempt, error: string, retryInSeconds: number): Promise<void>
  /** Not to be tried again, unless a superuser asks for it. Does nothing where another attempt has begun, as `failed`. */
  parked(attempt: Attempt, error: string): Promise<void>
  backlog(): Promise<Backlog>
}

/** What a mail is composed from. */
export interface OutboxMail {
  readonly id: string
  readonly message: MessageName
  readonly recipient: string
  readonly params: MailParams
  readonly created_at: Date
  readonly token_id: string | null
  /** When its token expires; null where it has none, or one that was used or has expired. */
  readonly valid_until: Date | null
}

export interface ClaimedMail extends OutboxMail {
  /** This one included. */
  readonly attempts: number
}

type Attempt = Pick<ClaimedMail, 'id' | 'attempts'>

/** Mails that were not sent. */
export interface Backlog {
  readonly waiting: number
  /** Age of the oldest waiting one; 0 where none waits. */
  readonly oldest_seconds: number
  readonly parked: number
}

/**
 * Milliseconds for a whole attempt, its claim included. Long enough for mail servers that delay each reply (25 s, against
 * spam).
 */
export const ATTEMPT_MS = 240_000

/** A lease outlasts its attempt, by the time that the claim's answer and closing the connection may take. */
const leaseSeconds = (attemptMs: number) => (attemptMs + Math.min(attemptMs / 2, 60_000)) / 1000

export function outbox(db: Database, attemptMs = ATTEMPT_MS): Outbox {
  const lease_seconds = leaseSeconds(attemptMs)
  return {
    add: async (message, recipient) => void (await db.run(addMail, { message, recipient })),
    async claim() {
      const [mail] = await db.run(claimMail, { lease_seconds })
      return mail
    },
    sent: async (id) => void (await db.run(markSent, { id })),
    failed: async ({ id, attempts }, error, seconds) =>
      void (await db.run(retryLater, { id, attempts, error: withoutTokens(error), seconds })),
    parked: async ({ id, attempts }, error) =>
      void (await db.run(park, { id, attempts, error: withoutTokens(error) })),
    async backlog() {
      const [backlog] = await db.run(readBacklog, {})
      return backlog!
    },
  }
}

/** The columns of `OutboxMail`. */
export const mailColumns = sql`${emails.id}, ${emails.message}, ${emails.recipient}, ${emails.params},
      ${emails.created_at}, ${emails.token_id}, (
        select expires_at from ${oneTimeTokens}
        where ${oneTimeTokens.id} = ${emails.token_id} and expires_at > now()
        union all
        select expires_at from ${addressChanges}
        where ${addressChanges.id} = ${emails.token_id} and expires_at > now()
      ) as valid_until`

const isWaiting = sql`sent_at is null and parked_at is null`
const inSeconds = (seconds: SQL) => sql`now() + make_interval(secs => ${seconds}::float8)`

const addMail = statement<{ message: MessageName; recipient: string }>(
  'add mail',
  (v) => sql`
    insert into ${emails} (message, recipient) values (${v.message}, ${v.recipient})`,
)

// One at a time: mails that wait behind another in a process would use up their leases.
const claimMail = statement<{ lease_seconds: number }, ClaimedMail>(
  'claim mail',
  (v) => sql`
    with due as (
      select id from ${emails}
      where ${isWaiting} and next_attempt_at <= now()
      order by next_attempt_at
      limit 1
      for update skip locked
    )
    update ${emails} set attempts = attempts + 1, next_attempt_at = ${inSeconds(v.lease_seconds)}
    from due where ${emails.id} = due.id
    returning ${mailColumns}, ${emails.attempts}`,
)

const markSent = statement<{ id: string }>(
  'mark mail as sent',
  (v) => sql`
    update ${emails} set sent_at = now(), last_error = null where id = ${v.id}`,
)

const retryLater = statement<Attempt & { error: string; seconds: number }>(
  'retry mail later',
  (v) => sql`
    update ${emails} set next_attempt_at = ${inSeconds(v.seconds)}, last_error = ${v.error}
    where id = ${v.id} and attempts = ${v.attempts}`,
)

const park = statement<Attempt & { error: string }>(
  'park mail',
  (v) => sql`
    update ${emails} set parked_at = now(), last_error = ${v.error}
    where id = ${v.id} and attempts = ${v.attempts}`,
)

// Both counts read partial indexes, however many mails were sent.
const readBacklog = statement<object, Backlog>(
  'read backlog of mails',
  () => sql`
    select count(*)::integer as waiting,
      coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds,
      (select count(*)::integer from ${emails} where parked_at is not null) as parked
    from ${emails} where ${isWaiting}`,
)

const ERROR_LENGTH = 500

/** A mail server's refusal may quote the mail, and with it the link. */
const withoutTokens = (error: string) =>
  error.replaceAll(/token=[^\s"'<>&]+/g, 'token=…').slice(0, ERROR_LENGTH)
