import { type SQLWrapper, and, eq, inArray, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { oneTimeTokens as tokens, users } from '../database/tables.ts'
import { boundedLink } from '../mail/bounds.ts'
import { queuedMail } from '../mail/outbox.ts'
import { hasEmail } from './accounts.ts'
import { type FoundToken, tokenFor, useToken } from './one-time-tokens.ts'

/** Showing that a mail address is one's own. */
export interface Verification {
  /**
   * Queues a link where an active user has this address and has not shown it yet, and had not too many (mail/bounds.ts).
   *
   * @param isKnown whether it is asked for from a network that the account signed in from
   */
  request(email: string, isKnown: boolean): Promise<void>
  /**
   * Uses a token up, and ends the others of its kind. False where it was used or expired, or the address changed,
   * since it was found.
   */
  verify(token: FoundToken): Promise<boolean>
}

export type VerificationConfig = Pick<
  Config,
  'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_VERIFICATION' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'
>

/** Whether addresses are to be verified by mail. */
export const verifies = (config: VerificationConfig) =>
  config.mail !== 'off' && config.EMAIL_VERIFICATION !== 'off'

export function verification(db: Database, config: VerificationConfig): Verification {
  const run = whenNeeded(() => ({ request: prepareRequest(db, config), verify: prepareVerify(db) }))
  return {
    async request(email, is_known) {
      if (verifies(config)) await run().request.execute({ email, is_known })
    },
    async verify(token) {
      const verified = await run().verify.execute({ token: token.id, user: token.user_id })
      return verified.length > 0
    },
  }
}

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

function prepareRequest(db: Database, config: VerificationConfig) {
  const account = db.$with('account').as(
    db
      .select()
      .from(users)
      .where(and(hasEmail, users.is_active, sql`not ${users.is_verified}`))
      // Held until the token is there: a deletion waits, or this finds nobody.
      .for('key share'),
  )
  const isKnown = sql<boolean>`${value('is_known')}::boolean`
  const { parts: bounds, allowed } = boundedLink(db, account, 'verification', config, isKnown)
  const { parts } = verificationMail(db, allowed, 'verification', config)
  const [mail] = parts.slice(-1)
  return db
    .with(account, ...bounds, ...parts)
    .select({ id: sql`id` })
    .from(mail!)
    .prepare('verification_request')
}

function prepareVerify(db: Database) {
  const { locked, used, stillTheirs } = useToken(db)
  const account = db
    .$with('account')
    .as(
      db
        .update(users)
        .set({ is_verified: true, claimed_password_hash: null })
        .from(used)
        .where(stillTheirs)
        .returning({ id: users.id }),
    )
  const dead = db.$with('dead').as(
    db
      .delete(tokens)
      .where(
        and(
          inArray(tokens.user_id, db.select({ id: account.id }).from(account)),
          eq(tokens.purpose, 'verify_email'),
          sql`${tokens.id} <> ${value('token')}`,
        ),
      )
      .returning(),
  )
  return db.with(locked, used, account, dead).select().from(account).prepare('verification_verify')
}
