import { type InferSelectModel, type SQL, sql } from 'drizzle-orm'
import { knownNetworks as limit } from '../../config/limits.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { knownNetworks, users } from '../../database/tables.ts'
import { unicodeForm } from '../../text/email-address.ts'
import type { SealedFactor } from '../factors/codes.ts'
import { sealedFactors } from '../factors/use-code.ts'
import { type Trail, audit } from '../audit/audit.ts'
import { type PublicUser, publicColumns } from './public-user.ts'

/** Users by their address, and the plain insert of one. Addresses are compared whatever their case. */
export interface Accounts {
  /** Creates a user; undefined where the address is in use. */
  create(account: NewAccount, trail: Trail): Promise<PublicUser | undefined>
  /**
   * How an address is stored: its domain in ASCII, except where a row that came from the FastAPI template has it in
   * Unicode. New rows never do, so that the unique index on addresses holds for both spellings.
   */
  spelling(email: string): Promise<string>
  findByEmail(email: string): Promise<Pick<User, 'id' | 'email'> | undefined>
  findForSignIn(email: string): Promise<SigningIn | undefined>
}

export type User = InferSelectModel<typeof users>

export interface NewAccount {
  readonly email: string
  readonly hashed_password: string
  readonly full_name?: string | null | undefined
  readonly is_active?: boolean
  readonly is_superuser?: boolean
  readonly is_verified?: boolean
}

type Credentials = Pick<
  User,
  'id' | 'email' | 'is_active' | 'is_verified' | 'hashed_password' | 'claimed_password_hash'
>

export interface SigningIn extends Credentials {
  /** Stored names of the networks that last signed in to the account (sessions/known-networks.ts). */
  readonly known_networks: readonly string[]
  /** Authenticators that count. */
  readonly factors: readonly SealedFactor[]
}

export function accounts(db: Database): Accounts {
  const spelling = async (email: string) => {
    const unicode = unicodeForm(email)
    if (unicode === undefined) return email
    const [user] = await db.run(findUser, { email: unicode })
    return user?.email ?? email
  }
  return {
    spelling,
    async create(account, trail) {
      const { full_name = null, is_active = true, is_superuser = false, is_verified = false } = account
      const email = await spelling(account.email)
      const { hashed_password } = account
      const values = { email, hashed_password, full_name, is_active, is_superuser, is_verified, ...trail }
      const [user] = await db.run(insertUser, values)
      return user
    },
    async findByEmail(email) {
      const [user] = await db.run(findUser, { email: await spelling(email) })
      return user
    },
    async findForSignIn(email) {
      const [user] = await db.run(findUserForSignIn, { email: await spelling(email) })
      return user && { ...user, known_networks: user.known_networks.split(' ') }
    },
  }
}

/** Condition: the user with this address. A deleted one has none, however long its row stays. */
export const isUserOf = (email: SQL): SQL =>
  sql`lower(${users.email}) = lower(${email}) and ${users.deleted_at} is null`

const findUser = statement<{ email: string }, Pick<User, 'id' | 'email'>>(
  'find user',
  (v) => sql`select ${users.id}, ${users.email} from ${users} where ${isUserOf(v.email)}`,
)

const findUserForSignIn = statement<
  { email: string },
  Credentials & Pick<SigningIn, 'factors'> & { known_networks: string }
>(
  'find user for sign-in',
  (v) => sql`
    select ${users.id}, ${users.email}, ${users.is_active}, ${users.is_verified}, ${users.hashed_password},
      ${users.claimed_password_hash},
      (
        select coalesce(string_agg(network, ' '), '') from (
          select network from ${knownNetworks} where user_id = ${users.id}
          order by signed_in_at desc limit ${sql.raw(String(limit.most))}
        ) latest
      ) as known_networks, ${sealedFactors(sql`${users.id}`)} as factors
    from ${users} where ${isUserOf(v.email)}`,
)

const insertUser = statement<
  Trail & Required<Omit<NewAccount, 'full_name'>> & { full_name: string | null },
  PublicUser
>(
  'insert user',
  (v) => sql`
    with account as (
      insert into ${users} (email, hashed_password, full_name, is_active, is_superuser, is_verified)
      values (${v.email}, ${v.hashed_password}, ${v.full_name}, ${v.is_active}, ${v.is_superuser}, ${v.is_verified})
      on conflict do nothing
      returning ${publicColumns}
    ),
    ${audit('user_created', 'account', v)}
    select ${publicColumns} from account`,
)
