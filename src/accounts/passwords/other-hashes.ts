import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { users } from '../../database/tables.ts'
import type { Passwords } from './passwords.ts'

/** Enough to meet every kind that came with an import, and quick where there are a million. */
const MOST = 1_000

/**
 * Makes failed sign-ins take as long as those with the slowest hashes of other systems that users still have, so that the
 * first one of a process does not tell such a user from nobody.
 */
export async function allowForOtherHashes(db: Database, passwords: Passwords): Promise<void> {
  for (const { hashed_password } of await db.run(findOtherHashes, {})) passwords.allowFor(hashed_password)
}

const findOtherHashes = statement<Record<string, never>, { hashed_password: string }>(
  'find hashes of other systems',
  () => sql`
    select hashed_password from ${users} where hashed_password not like '$argon2id$v=19$m=65536,t=3,p=4$%'
    limit ${sql.raw(String(MOST))}`,
  { isLong: true },
)
