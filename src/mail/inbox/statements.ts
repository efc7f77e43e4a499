import { sql } from 'drizzle-orm'
import { statement } from '../../database/statement.ts'
import { emails } from '../../database/tables.ts'
import { type OutboxMail, mailColumns } from '../outbox.ts'

/** Older mails are in the database. */
const MOST = 100

interface Search {
  /** Text of the recipient's address; empty for all mails. */
  readonly q: string
  /** Names of messages, separated by commas, that are found whoever they are to. */
  readonly messages: string
}

export const searchMails = statement<Search, OutboxMail>(
  'search mails of the inbox',
  (v) => sql`
    select ${mailColumns} from ${emails}
    where position(lower(${v.q}) in lower(${emails.recipient})) > 0
      or ${emails.message} = any(string_to_array(${v.messages}, ','))
    order by created_at desc, id desc
    limit ${sql.raw(String(MOST))}`,
)

export const showMail = statement<{ id: string }, OutboxMail>(
  'show mail',
  (v) => sql`
    select ${mailColumns} from ${emails} where id = ${v.id}`,
)

export const clearMails = statement<object>('clear mails of the inbox', () => sql`delete from ${emails}`)
