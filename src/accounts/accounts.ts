import { type InferSelectModel, type SQLWrapper, getTableColumns, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { users } from '../database/tables.ts'
import { unicodeForm } from '../text/email-address.ts'
import { queuedMail } from '../mail/outbox.ts'
import { knownToUser } from './known-networks.ts'
import { tokenFor } from './one-time-tokens.ts'

export type User = InferSelectModel<typeof users>

export interface NewAccount {
  readonly email: string
  readonly hashed_password: string
  readonly full_name?: string | null | undefined
  readonly is_active?: boolean
  readonly is_superuser?: boolean
  readonly is_verified?: boolean
}

export interface Accounts {
  /** Makes a user; undefined where the address is in use, whatever its case. */
  create(account: NewAccount): Promise<User | undefined>
  /** The same, and in the same statement a mail with a link to choose a password, where the account is active. */
  createWithWelcome(account: NewAccount): Promise<User | undefined>
  /**
   * How an address is stored: its domain in ASCII, unless it is that of a row of the FastAPI template, which has it in
   * Unicode. New rows never have, so that the index on addresses keeps them unique.
   */
  spelling(email: string): Promise<string>
  findByEmail(email: string): Promise<User | undefined>
  findForSignIn(email: string): Promise<SigningIn | undefined>
}

/** Whose password is tried, and the names of the networks that they know (known-networks.ts). */
export interface SigningIn extends User {
  readonly known_networks: readonly string[]
}

export const hasEmail = sql`(lower(${users.email}) = lower(${value('email')}) and ${users.deleted_at} is null)`

export function accounts(
  db: Database,
  config: Pick<Config, 'mail' | 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>,
): Accounts {
  const run = whenNeeded(() => prepare(db, config))
  const values = (account: NewAccount) => ({
    full_name: null,
    is_active: true,
    is_superuser: false,
    is_verified: false,
    ...account,
  })
  const spelling = async (email: string) => {
    const unicode = unicodeForm(email)
    if (unicode === undefined) return email
    const [user] = await run().findByEmail.execute({ email: unicode })
    return user ? user.email : email
  }
  return {
    spelling,
    async create(account) {
      const email = await spelling(account.email)
      const [user] = await run().create.execute(values({ ...account, email }))
      return user
    },
    async createWithWelcome(account) {
      const statement = config.mail === 'off' ? run().create : run().createWithWelcome
      const email = await spelling(account.email)
      const [user] = await statement.execute(values({ ...account, email }))
      return user
    },
    async findByEmail(email) {
      const [user] = await run().findByEmail.execute({ email: await spelling(email) })
      return user
    },
    async findForSignIn(email) {
      const [user] = await run().findForSignIn.execute({ email: await spelling(email) })
      return user
    },
  }
}

function prepare(db: Database, config: WelcomeConfig) {
  const insert = () =>
    db
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

  const account = db.$with('account').as(insert())
  // The link would not work for one that is not active: it is mailed when they are activated.
  const active = db.$with('active').as(
    db
      .select()
      .from(account)
      .where(sql`${account.is_active}`),
  )
  return {
    create: insert().prepare('account_create'),
    createWithWelcome: db
      .with(account, active, ...welcomeMail(db, active, config))
      .select()
      .from(account)
      .prepare('account_create_with_welcome'),
    findByEmail: db.select().from(users).where(hasEmail).prepare('account_find_by_email'),
    findForSignIn: db
      .select({ ...getTableColumns(users), known_networks: knownToUser })
      .from(users)
      .where(hasEmail)
      .prepare('account_find_for_sign_in'),
  }
}

type WelcomeConfig = Pick<Config, 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>

/** Parts of a statement that mail a link to choose a password to whoever is in `account`. */
export function welcomeMail(
  db: Database,
  account: WithSubquery & Record<'id' | 'email', SQLWrapper>,
  config: WelcomeConfig,
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
