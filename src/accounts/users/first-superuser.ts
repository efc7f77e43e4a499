import { and, sql } from 'drizzle-orm'
import { type Config, ConfigError } from '../../config/config.ts'
import type { Database } from '../../database/connect.ts'
import { auditEvents, users } from '../../database/tables.ts'
import { isGuessable } from '../passwords/common-passwords.ts'
import type { Passwords } from '../passwords/passwords.ts'

/** Key of an advisory lock: any number, the same in every version of the service. */
const FIRST_SUPERUSER_LOCK = 7_042_917_264

/** The address is in use, by an account that is not an active superuser: it may be anybody's, so it is not promoted. */
export const ADDRESS_TAKEN = Symbol('address taken')

type Settings = Pick<Config, 'ENVIRONMENT' | 'FIRST_SUPERUSER' | 'FIRST_SUPERUSER_PASSWORD' | 'PROJECT_NAME'>

/**
 * Creates the first superuser from FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD where there is no active superuser. Once
 * there is one, both settings are ignored: a restart does not undo a changed address or password.
 *
 * @returns the id of the new user; ADDRESS_TAKEN; undefined where there is an active superuser already
 * @throws ConfigError where the password is missing, or outside local among the most common ones
 */
export async function makeFirstSuperuser(
  db: Database,
  passwords: Passwords,
  config: Settings,
): Promise<string | typeof ADDRESS_TAKEN | undefined> {
  if (await hasSuperuser(db)) return undefined
  const hashed_password = await passwords.hash(await passwordOf(config))
  return db.transaction(async (tx) => {
    // Of several processes that start at once, even with different addresses, only one creates it: the others wait here, and
    // their next statement sees it.
    await tx.execute(sql`select pg_advisory_xact_lock(${FIRST_SUPERUSER_LOCK}::bigint)`)
    if (await hasSuperuser(tx)) return undefined
    const account = { email: config.FIRST_SUPERUSER, hashed_password, is_superuser: true, is_verified: true }
    const [created] = await tx.insert(users).values(account).onConflictDoNothing().returning({ id: users.id })
    if (!created) return ADDRESS_TAKEN
    const details = { by: 'start' }
    await tx.insert(auditEvents).values({ event: 'user_created', subject_id: created.id, details })
    return created.id
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
