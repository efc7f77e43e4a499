import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { queuedMail } from '../mail/outbox.ts'
import { tokenFor } from './one-time-tokens.ts'
import type { VerificationConfig } from './verify-email.ts'

export { type VerificationConfig, verifies } from './verify-email.ts'

type Account = WithSubquery & Record<'id' | 'email' | 'registered_from' | 'created_at', SQLWrapper>

/** The parts of a statement that mail a link to whoever is in `account`: none or one, of an address to be verified. */
export function verificationMail(
  db: Database,
  account: Account,
  message: 'verification' | 'new_address',
  config: VerificationConfig,
) {
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const { slot, made, token } = tokenFor(db, account, 'verify_email', minutes)
  const addressed = db.$with('addressed').as(
    db
      .select({
        user_id: sql`${account.id}`.as('user_id'),
        email: sql`${account.email}`.as('email'),
        token_id: sql`${token.id}`.as('token_id'),
        params:
          sql`jsonb_build_object('from', ${account.registered_from}, 'made_at', ${account.created_at})`.as(
            'params',
          ),
      })
      .from(account)
      .innerJoin(token, sql`true`),
  )
  const mail = queuedMail(db, addressed, message, {
    user_id: addressed.user_id,
    recipient: addressed.email,
    token_id: addressed.token_id,
    params: addressed.params,
  })
  return { slot, parts: [slot, made, token, addressed, mail] }
}
