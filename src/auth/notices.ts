import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config.ts'
import type { Database } from '../db/connect.ts'
import { value } from '../db/statements.ts'
import { from, queuedMail } from '../mail/outbox.ts'

/** Mails about what happened to an account (OWASP ASVS 6.3.7), as parts of the statements that do it. */

type Told = WithSubquery & Record<'id' | 'email', SQLWrapper>

/** Whose doing it was: the network address named `ip_address`, or null, which stands for a superuser. */
const cause = from(sql`${value('ip_address')}::text`)

/** To whoever is in `account`: the password is another. */
export const passwordNotice = (db: Database, account: Told, { mail }: Pick<Config, 'mail'>) =>
  queuedMail(
    db,
    account,
    'password_changed',
    { user_id: account.id, recipient: account.email, params: cause },
    mail !== 'off',
  )

/** To the address that an account in `account` had. */
export const addressNotice = (
  db: Database,
  account: Told & { old_email: SQLWrapper },
  { mail }: Pick<Config, 'mail'>,
) =>
  queuedMail(
    db,
    account,
    'address_changed',
    { user_id: account.id, recipient: account.old_email, params: cause },
    mail !== 'off',
  )
