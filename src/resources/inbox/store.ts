import { desc, eq } from 'drizzle-orm'
import type { Database } from '../../db/connect.ts'
import { value } from '../../db/statements.ts'
import { emails } from '../../db/tables.ts'
import { mailContent } from '../../mail/outbox.ts'

/** The newest mails are shown; who needs older ones asks the database. */
const MOST = 100

/** The outbox, to look at. */
export function keptMails(db: Database) {
  const mails = () => db.select(mailContent).from(emails)
  const newest = mails().orderBy(desc(emails.created_at), desc(emails.id)).limit(MOST).prepare('inbox_newest')
  const one = mails()
    .where(eq(emails.id, value('id')))
    .prepare('inbox_one')
  return {
    newest: () => newest.execute(),
    async find(id: string) {
      const [mail] = await one.execute({ id })
      return mail
    },
  }
}

export type KeptMail = Awaited<ReturnType<ReturnType<typeof keptMails>['newest']>>[number]
