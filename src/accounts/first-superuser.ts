import { and, sql } from 'drizzle-orm'
import { type Config, ConfigError } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { users } from '../database/tables.ts'
import { isGuessable } from './passwords/common-passwords.ts'
import type { Passwords } from './passwords/passwords.ts'

/** Any number, as long as all versions of the service agree on it. */
const FIRST_SUPERUSER_LOCK = 7_042_917_264

/** The address is of an account that is no active superuser: who has it may be anybody. */
export const ADDRESS_TAKEN = Symbol('address taken')

type Settings = Pick<Config, 'ENVIRONMENT' | 'FIRST_SUPERUSER' | 'FIRST_SUPERUSER_PASSWORD' | 'PROJECT_NAME'>

/**
 * Makes the first superuser where there is no active superuser at all, so that somebody can get in. Once there is one,
 * the two settings mean nothing: whoever changed the address or the password is not undone by a restart.
 *
 * @returns its id where it was made
 * @throws ConfigError where there is no password for it, or one that everybody would guess
 */
export async function makeFirstSuperuser(
  db: Database,
  passwords: Passwords,
  config: Settings,
): Promise<string | typeof ADDRESS_TAKEN | undefined> {
  if (await hasSuperuser(db)) return undefined
  const hashed_password = await passwords.hash(await passwordOf(config))
  return db.transaction(async (tx) => {
    // Of several processes that start at once, with whatever addresses, one makes it, and the others find it made.
    await tx.execute(sql`select pg_advisory_xact_lock(${FIRST_SUPERUSER_LOCK}::bigint)`)
    if (await hasSuperuser(tx)) return undefined
    const account = { email: config.FIRST_SUPERUSER, hashed_password, is_superuser: true, is_verified: true }
    const [made] = await tx.insert(users).values(account).onConflictDoNothing().returning({ id: users.id })
    return made?.id ?? ADDRESS_TAKEN
  })
}

async function hasSuperuser(db: Pick<Database, 'select'>): Promise<boolean> {
  const isActiveSuperuser = and(users.is_superuser, users.is_active)
  const found = await db.select({ id: users.id }).from(users).where(isActiveSuperuser).limit(1)
  return found.length > 0
}

async function passwordOf(settings: Settings): Promise<string> {
  const {
    ENVIRONMENT,
    FIRST_SUPERUSER_PASSWORD: password,
    FIRST_SUPERUSER: email,
    PROJECT_NAME: project,
  } = settings
  if (password === undefined)
    throw new ConfigError(['FIRST_SUPERUSER_PASSWORD: needed, as there is no active superuser yet'])
  if (ENVIRONMENT !== 'local' && (await isGuessable(password, { email, project })))
    throw new ConfigError(['FIRST_SUPERUSER_PASSWORD: among the most common passwords; choose another'])
  return password
}
