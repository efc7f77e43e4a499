import { type InferSelectModel, getTableColumns, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Database } from '../db/connect.ts'
import { value, whenNeeded } from '../db/statements.ts'
import { users } from '../db/tables.ts'
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
  /** The same, and in the same statement a mail with a link to choose a password. */
  createWithWelcome(account: NewAccount): Promise<User | undefined>
  findByEmail(email: string): Promise<User | undefined>
  findForSignIn(email: string): Promise<SigningIn | undefined>
}

/** Whose password is tried, and the names of the networks that they know (known-networks.ts). */
export interface SigningIn extends User {
  readonly known_networks: readonly string[]
}

export const hasEmail = sql`lower(${users.email}) = lower(${value('email')})`

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
  return {
    async create(account) {
      const [user] = await run().create.execute(values(account))
      return user
    },
    async createWithWelcome(account) {
      const statement = config.mail === 'off' ? run().create : run().createWithWelcome
      const [user] = await statement.execute(values(account))
      return user
    },
    async findByEmail(email) {
      const [user] = await run().findByEmail.execute({ email })
      return user
    },
    async findForSignIn(email) {
      const [user] = await run().findForSignIn.execute({ email })
      return user
    },
  }
}

function prepare(db: Database, config: Pick<Config, 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>) {
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
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const { slot, made, token } = tokenFor(db, account, 'reset_password', minutes)
  const mailed = db.$with('mailed').as(
    db
      .select({ user_id: account.id, email: account.email, token_id: sql`${token.id}`.as('token_id') })
      .from(account)
      .innerJoin(token, sql`true`),
  )
  const mail = queuedMail(db, mailed, 'welcome', {
    user_id: mailed.user_id,
    recipient: mailed.email,
    token_id: mailed.token_id,
  })
  return {
    create: insert().prepare('account_create'),
    createWithWelcome: db
      .with(account, slot, made, token, mailed, mail)
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
