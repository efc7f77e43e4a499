import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { users } from '../database/tables.ts'
import { queuedMail } from '../mail/outbox.ts'
import type { Accounts, NewAccount } from './find-user.ts'
import { tokenFor } from './one-time-tokens.ts'
import type { PublicUser } from './public-user.ts'

export type { Accounts, NewAccount, SigningIn, User } from './find-user.ts'

export const hasEmail = sql`(lower(${users.email}) = lower(${value('email')}) and ${users.deleted_at} is null)`

/** Creates a user, and in the same statement a mail with a link to choose a password, where the account is active. */
export function createWithWelcome(db: Database, config: WelcomeConfig, accounts: Accounts) {
  const run = whenNeeded(() => prepare(db, config))
  return async (account: NewAccount): Promise<PublicUser | undefined> => {
    if (config.mail === 'off') return accounts.create(account)
    const email = await accounts.spelling(account.email)
    const defaults = { full_name: null, is_active: true, is_superuser: false, is_verified: false }
    const [user] = await run().execute({ ...defaults, ...account, email })
    return user
  }
}

type WelcomeConfig = Pick<Config, 'mail' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>

function prepare(db: Database, config: WelcomeConfig) {
  const insert = db
    .insert(users)
    .values({
      email: value('email'),
      hashed_password: value('hashed_password'),
      full_name: value('full_name'),
      is_active: value('is_active'),
      is_superuser: value('is_superuser'),
      is_verified: value('is_verified'),
    })
    .onConflictDoNothing()
    .returning()
  const account = db.$with('account').as(insert)
  // The link would not work for one that is not active: it is mailed when they are activated.
  const active = db.$with('active').as(
    db
      .select()
      .from(account)
      .where(sql`${account.is_active}`),
  )
  return db
    .with(account, active, ...welcomeMail(db, active, config))
    .select()
    .from(account)
    .prepare('account_create_with_welcome')
}

/** Parts of a statement that mail a link to choose a password to whoever is in `account`. */
export function welcomeMail(
  db: Database,
  account: WithSubquery & Record<'id' | 'email', SQLWrapper>,
  config: Pick<WelcomeConfig, 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>,
): WithSubquery[] {
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const { slot, made, token } = tokenFor(db, account, 'reset_password', minutes, 'welcome_')
  const welcomed = db.$with('welcomed').as(
    db
      .select({
        user_id: sql`${account.id}`.as('user_id'),
        recipient: sql`${account.email}`.as('recipient'),
        token_id: sql`${token.id}`.as('token_id'),
      })
      .from(account as WithSubquery)
      .innerJoin(token, sql`true`),
  )
  const mail = queuedMail(db, welcomed, 'welcome', {
    user_id: welcomed.user_id,
    recipient: welcomed.recipient,
    token_id: welcomed.token_id,
  })
  return [slot, made, token, welcomed, mail]
}
