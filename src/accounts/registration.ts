import { randomUUID } from 'node:crypto'
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { columnsIn } from '../ownership/page-statement.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { users } from '../database/tables.ts'
import { boundedLink } from '../mail/bounds.ts'
import { from, queuedMail } from '../mail/outbox.ts'
import { type User, hasEmail } from './accounts.ts'
import { tokenFor } from './one-time-tokens.ts'
import { type VerificationConfig, verificationMail, verifies } from './verification.ts'

export interface Registration {
  readonly email: string
  readonly hashed_password: string
  readonly full_name?: string | null | undefined
  readonly ip_address: string
}

export interface Registered {
  readonly user: Omit<
    User,
    'hashed_password' | 'claimed_password_hash' | 'credentials_version' | 'registered_from' | 'deleted_at'
  >
  /** The address is in use: the user looks like a new one, and is not there. */
  readonly isMadeUp: boolean
}

/**
 * Makes a user who asks for it themselves, and mails them a link to verify their address, in one statement. Where
 * addresses have to be verified, the owner of one that is in use is told by mail, and the password is remembered as what
 * somebody claims, so that a sign-in with it is answered as after any other sign-up.
 */
export type Register = (registration: Registration) => Promise<Registered>

export function register(db: Database, config: VerificationConfig): Register {
  const statement = whenNeeded(() => prepare(db, config))
  return async ({ full_name = null, ...registration }) => {
    const attempt = async () => (await statement().execute({ ...registration, full_name }))[0]
    let found = await attempt()
    // Of two sign-ups at the same moment, the second does not see yet what the first one made: it does when it tries again.
    if (!found && tellsOwner(config)) found = await attempt()
    const user = found?.user
    return { user: user ?? madeUp(registration.email, full_name), isMadeUp: !user }
  }
}

const tellsOwner = (config: VerificationConfig) => config.EMAIL_VERIFICATION === 'required'

const madeUp = (email: string, full_name: string | null): Registered['user'] => ({
  id: randomUUID(),
  email,
  full_name,
  is_active: true,
  is_superuser: false,
  is_verified: false,
  created_at: new Date(),
})

function prepare(db: Database, config: VerificationConfig) {
  const ipAddress = sql`${value('ip_address')}::text`
  const made = db.$with('account').as(
    db
      .insert(users)
      .values({
        email: value('email'),
        hashed_password: value('hashed_password'),
        full_name: value('full_name'),
        registered_from: ipAddress as never,
      })
      .onConflictDoNothing()
      .returning(),
  )
  const toVerify = db.$with('to_verify').as(
    db
      .select()
      .from(made)
      .where(verifies(config) ? undefined : sql`false`),
  )
  const welcomed = boundedLink(db, toVerify, 'sign_up', config)
  const { parts } = verificationMail(db, welcomed.allowed, 'verification', config)
  const owner = db.$with('owner').as(
    // Which holds the row until the mail is there: a deletion waits, or this finds nobody.
    db
      .update(users)
      .set({ claimed_password_hash: sql`${value('hashed_password')}` })
      .where(
        sql`${hasEmail} and not exists (select from ${made}) and ${tellsOwner(config) ? sql`true` : sql`false`}`,
      )
      .returning({
        id: users.id,
        email: users.email,
        is_verified: users.is_verified,
        is_active: users.is_active,
        registered_from: users.registered_from,
        created_at: users.created_at,
      }),
  )
  const { parts: bounds, allowed } = boundedLink(db, owner, 'account_exists', config)
  const told = ownerMails(db, allowed, ipAddress, config)
  return db
    .with(made, toVerify, ...welcomed.parts, ...parts, owner, ...bounds, ...told)
    .select({ user: columnsIn(users, made), owner: sql<string | null>`${owner.id}` })
    .from(made)
    .fullJoin(owner, sql`true`)
    .prepare('account_register')
}

type Owner = WithSubquery &
  Record<'id' | 'email' | 'is_verified' | 'is_active' | 'registered_from' | 'created_at', SQLWrapper>

/**
 * Parts of a statement that tell whoever is in `owner` that somebody signed up with their address. Where nobody has
 * confirmed it yet, somebody else may have made the account: then the mail says so, and has a link to take it over.
 */
function ownerMails(db: Database, owner: Owner, ipAddress: SQL, config: VerificationConfig): WithSubquery[] {
  const isUnconfirmed = sql`(${owner.is_active} and not ${owner.is_verified})`
  const those = (name: string, condition: SQL) =>
    db.$with(name).as(
      db
        .select()
        .from(owner as WithSubquery)
        .where(condition),
    ) as unknown as Owner
  const confirmed = those('confirmed', sql`not ${isUnconfirmed}`)
  const unconfirmed = those('unconfirmed', isUnconfirmed)
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const { slot, made, token } = tokenFor(db, unconfirmed, 'reset_password', minutes, 'owner_')
  const linked = db.$with('linked').as(
    db
      .select({
        user_id: sql`${unconfirmed.id}`.as('user_id'),
        recipient: sql`${unconfirmed.email}`.as('recipient'),
        token_id: sql`${token.id}`.as('token_id'),
        params: sql`jsonb_build_object(
          'from', ${ipAddress}, 'made_at', ${unconfirmed.created_at}, 'made_from', ${unconfirmed.registered_from}
        )`.as('params'),
      })
      .from(unconfirmed as WithSubquery)
      .innerJoin(token, sql`true`),
  )
  const takeOver = queuedMail(db, linked, 'account_unconfirmed', {
    user_id: linked.user_id,
    recipient: linked.recipient,
    token_id: linked.token_id,
    params: linked.params,
  })
  const told = queuedMail(db, confirmed, 'account_exists', {
    user_id: confirmed.id,
    recipient: confirmed.email,
    params: from(ipAddress),
  })
  return [confirmed, told, unconfirmed, slot, made, token, linked, takeOver]
}
