import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { Database } from '../db/connect.ts'
import { value, whenNeeded } from '../db/statements.ts'
import { users } from '../db/tables.ts'
import { from, queuedMail } from '../mail/outbox.ts'
import { type User, hasEmail } from './accounts.ts'
import { type VerificationConfig, verificationMail, verifies } from './verification.ts'

export interface Registration {
  readonly email: string
  readonly hashed_password: string
  readonly full_name?: string | null | undefined
  readonly ip_address: string
}

export interface Registered {
  readonly user: Omit<User, 'hashed_password' | 'credentials_version' | 'registered_from'>
  /** The address is in use: the user looks like a new one, and is not there. */
  readonly isMadeUp: boolean
}

/**
 * Makes a user who asks for it themselves, and mails them a link to verify their address, in one statement. Where
 * addresses have to be verified, the owner of one that is in use is told by mail.
 */
export type Register = (registration: Registration) => Promise<Registered>

export function register(db: Database, config: VerificationConfig): Register {
  const statement = whenNeeded(() => prepare(db, config))
  return async ({ full_name = null, ...registration }) => {
    const [user] = await statement().execute({ ...registration, full_name })
    return { user: user ?? madeUp(registration.email, full_name), isMadeUp: !user }
  }
}

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
  const { parts } = verificationMail(db, toVerify, 'verification', config)
  const owner = db.$with('owner').as(
    db
      .select({ id: users.id, email: users.email })
      .from(users)
      .where(sql`${hasEmail} and not exists (select from ${made})`)
      // Held until the mail is there: a deletion waits, or this finds nobody.
      .for('key share'),
  )
  const told = queuedMail(
    db,
    owner,
    'account_exists',
    { user_id: owner.id, recipient: owner.email, params: from(ipAddress) },
    config.EMAIL_VERIFICATION === 'required',
  )
  return db
    .with(made, toVerify, ...parts, owner, told)
    .select()
    .from(made)
    .prepare('account_register')
}
