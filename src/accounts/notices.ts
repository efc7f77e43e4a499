import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { value } from '../database/statements.ts'
import { boundedNotice } from '../mail/bounds.ts'
import { from, queuedMail } from '../mail/outbox.ts'

/**
 * Mails about what happened to an account (OWASP ASVS 6.3.7), as parts of the statements that do it. Bounded, as whoever
 * signed up with a stranger's address can make it happen again and again (mail/bounds.ts).
 */

type Told = Record<'id' | 'email' | 'is_verified', SQLWrapper>

type NoticeConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED'>

/** Whose doing it was: the network address named `ip_address`, or null, which stands for a superuser. */
const cause = from(sql`${value('ip_address')}::text`)

/** @param to of whoever is in `account`; where they are told, and whether that is known to be theirs */
export function notice(
  db: Database,
  account: WithSubquery,
  message: 'password_changed' | 'address_changed' | 'session_ended' | 'recovery_link_shown',
  to: Told,
  config: NoticeConfig,
): WithSubquery[] {
  const told = db.$with(`told_${message}`).as(
    db
      .select({
        id: sql`${to.id}`.as('id'),
        email: sql`${to.email}`.as('email'),
        is_verified: sql`${to.is_verified}`.as('is_verified'),
      })
      .from(account)
      .where(config.mail === 'off' ? sql`false` : undefined),
  )
  const due = boundedNotice(db, told, message, config)
  const mailed = db.$with(`mailed_${message}`).as(
    db
      .select({
        id: sql`${told.id}`.as('id'),
        email: sql`${told.email}`.as('email'),
        due: sql`${due.due}`.as('due'),
      })
      .from(told)
      .innerJoin(due, sql`true`),
  )
  const mail = queuedMail(db, mailed, message, {
    user_id: mailed.id,
    recipient: mailed.email,
    params: cause,
    next_attempt_at: mailed.due,
  })
  return [told, due, mailed, mail]
}
