import { desc, eq } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { value, whenNeeded } from '../../database/statements.ts'
import { emails } from '../../database/tables.ts'
import { mailContent } from '../outbox.ts'

/** The newest mails are shown; who needs older ones asks the database. */
const MOST = 100

/** The outbox, to look at. */
export function keptMails(db: Database) {
  const run = whenNeeded(() => prepare(db))
  return {
    newest: () => run().newest.execute(),
    async find(id: string) {
      const [mail] = await run().one.execute({ id })
      return mail
    },
  }
}

function prepare(db: Database) {
  const mails = () => db.select(mailContent).from(emails)
  return {
    newest: mails().orderBy(desc(emails.created_at), desc(emails.id)).limit(MOST).prepare('inbox_newest'),
    one: mails()
      .where(eq(emails.id, value('id')))
      .prepare('inbox_one'),
  }
}

export type KeptMail = Awaited<ReturnType<ReturnType<typeof keptMails>['newest']>>[number]
