import { type SQL, and, eq, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { columnsIn } from '../../ownership/page-statement.ts'
import { type PageOf, type PageRequest, preparePages } from '../../ownership/page.ts'
import { value, whenNeeded } from '../../database/statements.ts'
import { emails } from '../../database/tables.ts'
import { MailNotFound, MailNotParked } from '../../contract/errors.ts'

type Row = typeof emails.$inferSelect
type State = 'waiting' | 'sent' | 'parked'

/** How a mail fares. */
interface Mail extends Pick<Row, 'id' | 'message' | 'recipient' | 'last_error' | 'created_at' | 'sent_at'> {
  readonly state: State
  readonly tries: number
  readonly next_try_at: Date | null
}

export interface MailStore {
  page(request: PageRequest<'created_at'>, state?: State): Promise<PageOf<Mail>>
  /** @throws MailNotFound */
  get(id: string): Promise<Mail>
  /**
   * Makes a parked mail due, its tries counted anew.
   *
   * @throws MailNotFound, MailNotParked
   */
  retry(id: string): Promise<Mail>
}

/** Each is served by an index of its own where it is about few among many. */
const ofState: Record<State, SQL> = {
  waiting: sql`${emails.sent_at} is null and ${emails.parked_at} is null`,
  sent: sql`${emails.sent_at} is not null`,
  parked: sql`${emails.parked_at} is not null`,
}

export function mailStore(db: Database): MailStore {
  const pages = (where: SQL) => preparePages<Row>(db, emails, ['recipient'], where)
  const read = {
    all: pages(sql`true`), // counted with the page, as nothing sums mails up
    waiting: pages(ofState.waiting),
    sent: pages(ofState.sent),
    parked: pages(ofState.parked),
  }
  const run = whenNeeded(() => ({ get: prepareGet(db), retry: prepareRetry(db) }))
  return {
    async page(request, state) {
      const { data, ...rest } = await read[state ?? 'all'](request)
      return { data: data.map(shown), ...rest }
    },
    async get(id) {
      const [row] = await run().get.execute({ id })
      if (!row) throw new MailNotFound()
      return shown(row)
    },
    async retry(id) {
      const [found] = await run().retry.execute({ id })
      if (!found) throw new MailNotFound()
      if (!found.row) throw new MailNotParked()
      return shown(found.row)
    },
  }
}

const prepareGet = (db: Database) =>
  db
    .select()
    .from(emails)
    .where(eq(emails.id, value('id')))
    .prepare('mail_get')

function prepareRetry(db: Database) {
  const due = { parked_at: null, attempts: 0, next_attempt_at: sql`now()` }
  const written = db.$with('written').as(
    db
      .update(emails)
      .set(due)
      .where(and(eq(emails.id, value('id')), ofState.parked))
      .returning(),
  )
  return db
    .with(written)
    .select({ id: emails.id, row: columnsIn(emails, written) })
    .from(emails)
    .leftJoin(written, sql`true`)
    .where(eq(emails.id, value('id')))
    .prepare('mail_retry')
}

function shown(row: Row): Mail {
  const { id, message, recipient, attempts: tries, last_error, created_at, next_attempt_at, sent_at } = row
  const state = sent_at ? 'sent' : row.parked_at ? 'parked' : 'waiting'
  const next_try_at = state === 'waiting' ? next_attempt_at : null
  return { id, message, recipient, state, tries, last_error, created_at, next_try_at, sent_at }
}
