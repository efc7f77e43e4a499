import { desc, eq, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Database } from '../db/connect.ts'
import { newRow, value, whenNeeded } from '../db/statements.ts'
import { knownNetworks as table, users } from '../db/tables.ts'
import { knownNetworks as limit } from '../limits.ts'
import { macOf } from './signed-ids.ts'

/**
 * The networks that last signed in to an account: however much strangers try, these are not locked out
 * (NIST SP 800-63B-4, 3.2.2). Few, as each adds to what can be tried against the account.
 */
export interface KnownNetworks {
  /** Takes the same way where nobody has the address and there is no user. */
  isKnown(user_id: string | undefined, network: string): Promise<boolean>
  remember(user_id: string, network: string): Promise<void>
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

export function knownNetworks(db: Database, config: Pick<Config, 'SECRET_KEY'>): KnownNetworks {
  const mac = macOf(config.SECRET_KEY, 'known-network')
  const run = whenNeeded(() => prepare(db))
  const row = (user_id: string, network: string) => ({ user_id, network: mac(`${user_id} ${network}`) })
  return {
    async isKnown(user_id = NOBODY, network) {
      const found = await run().isKnown.execute(row(user_id, network))
      return found.length > 0
    },
    async remember(user_id, network) {
      await run().remember.execute(row(user_id, network))
    },
  }
}

function prepare(db: Database) {
  const latest = db
    .select({ network: table.network })
    .from(table)
    .where(eq(table.user_id, value('user_id')))
    .orderBy(desc(table.signed_in_at))
    .limit(limit.most)
    .as('latest')
  // Held until the row is there: a deletion waits, or this finds nobody.
  const user = db.$with('account').as(
    db
      .select({ id: users.id })
      .from(users)
      .where(eq(users.id, value('user_id')))
      .for('key share'),
  )
  const row = newRow(table, { user_id: user.id, network: sql`${value('network')}` })
  return {
    isKnown: db
      .select()
      .from(latest)
      .where(eq(latest.network, value('network')))
      .prepare('known_network_find'),
    remember: db
      .with(user)
      .insert(table)
      .select((qb) => qb.select(row as never).from(user))
      .onConflictDoUpdate({ target: [table.user_id, table.network], set: { signed_in_at: sql`now()` } })
      .prepare('known_network_remember'),
  }
}
