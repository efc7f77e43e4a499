import { type SQLWrapper, eq, sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { newRow, value, whenNeeded } from '../database/statements.ts'
import { knownNetworks as table, users } from '../database/tables.ts'
import { macOf } from '../config/signed-ids.ts'

/**
 * The networks that last signed in to an account: however much strangers try, these are not locked out
 * (NIST SP 800-63B-4, 3.2.2). Few, as each adds to what can be tried against the account.
 */
export interface KnownNetworks {
  /** How a network is written down: of the same one, each account knows another. */
  nameOf(user_id: string, network: string): string
  remember(user_id: string, network: string): Promise<void>
}

export function knownNetworks(db: Database, config: Pick<Config, 'SECRET_KEY'>): KnownNetworks {
  const mac = macOf(config.SECRET_KEY, 'known-network')
  const run = whenNeeded(() => prepare(db))
  const nameOf = (user_id: string, network: string) => mac(`${user_id} ${network}`)
  return {
    nameOf,
    async remember(user_id, network) {
      await run().execute({ user_id, network: nameOf(user_id, network) })
    },
  }
}

/** Notes the value of `network` as one that `account` knows; to be run, or to be part of a statement that does more. */
export const rememberedNetwork = (
  db: Pick<Database, 'insert'>,
  account: Parameters<Database['with']>[0] & { readonly id: SQLWrapper },
) =>
  db
    .insert(table)
    .select((qb) =>
      qb
        .select(newRow(table, { user_id: account.id, network: sql`${value('network')}` }) as never)
        .from(account),
    )
    .onConflictDoUpdate({ target: [table.user_id, table.network], set: { signed_in_at: sql`now()` } })
    .returning({ network: table.network })

function prepare(db: Database) {
  // Held until the row is there: a deletion waits, or this finds nobody.
  const account = db.$with('account').as(
    db
      .select({ id: users.id })
      .from(users)
      .where(eq(users.id, value('user_id')))
      .for('key share'),
  )
  return rememberedNetwork(db.with(account), account).prepare('known_network_remember')
}
