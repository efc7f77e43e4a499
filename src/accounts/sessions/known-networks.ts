import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { macOf } from '../../config/signed-ids.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { knownNetworks as table, users } from '../../database/tables.ts'

/**
 * The networks that last signed in to an account. What strangers guess at it does not lock these out (NIST SP 800-63B-4,
 * 3.2.2). Only a few: each has a limit of its own, which adds to what can be guessed.
 */
export interface KnownNetworks {
  /** Stored name of a network: a MAC over user and network, so that a network can't be recognised across accounts. */
  nameOf(user_id: string, network: string): string
  remember(user_id: string, network: string): Promise<void>
}

export function knownNetworks(db: Database, config: Pick<Config, 'SECRET_KEY'>): KnownNetworks {
  const mac = macOf(config.SECRET_KEY, 'known-network')
  const nameOf = (user_id: string, network: string) => mac(`${user_id} ${network}`)
  return {
    nameOf,
    async remember(user_id, network) {
      await db.run(remember, { user_id, network: nameOf(user_id, network) })
    },
  }
}

/** The user's row is locked until the network is written: a deletion waits, or no user is found here. */
const remember = statement<{ user_id: string; network: string }>(
  'remember network',
  (v) => sql`
    with account as (select id from ${users} where id = ${v.user_id} for key share),
    ${rememberNetwork('account', v.network)}
    select from remembered`,
)

/**
 * CTE `remembered`: a network that the user in `from` (`id`) signed in from.
 *
 * @param network its stored name
 */
export function rememberNetwork(from: string, network: SQL): SQL {
  return sql`remembered as (
      insert into ${table} (user_id, network) select id, ${network} from ${sql.raw(from)}
      on conflict (user_id, network) do update set signed_in_at = now()
      returning user_id
    )`
}
