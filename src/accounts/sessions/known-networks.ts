import { type SQL, sql } from 'drizzle-orm'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import { namesOf } from '../../config/secrets/signed-ids.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { knownNetworks as table, users } from '../../database/tables.ts'
import type { SigningIn } from '../users/find-user.ts'

/**
 * The networks that last signed in to an account. What strangers guess at it does not lock these out (NIST SP 800-63B-4,
 * 3.2.2). Only a few: each has a limit of its own, which adds to what can be guessed.
 */
export interface KnownNetworks {
  /** Stored names of a network: MACs over user and network, so that a network can't be recognised across accounts. */
  namesOf(user_id: string, network: string): NetworkNames
  /** Whether it is one of those that the user last signed in from. */
  isKnown(user: Pick<SigningIn, 'id' | 'known_networks'>, network: string): boolean
  remember(user_id: string, network: string): Promise<void>
}

export interface NetworkNames {
  readonly network: string
  /** Its name under SECRET_KEY_PREVIOUS; empty where that is unset. */
  readonly network_before: string
}

export function knownNetworks(db: Database, config: KeySettings): KnownNetworks {
  const names = namesOf(keyring(config), 'known-network')
  const namesOfNetwork = (user_id: string, network: string) => {
    const { name, before } = names(`${user_id} ${network}`)
    return { network: name, network_before: before }
  }
  return {
    namesOf: namesOfNetwork,
    isKnown({ id, known_networks }, address) {
      const { network, network_before } = namesOfNetwork(id, address)
      return known_networks.some((known) => known === network || (known !== '' && known === network_before))
    },
    async remember(user_id, network) {
      await db.run(remember, { user_id, ...namesOfNetwork(user_id, network) })
    },
  }
}

/** The user's row is locked until the network is written: a deletion waits, or no user is found here. */
const remember = statement<NetworkNames & { user_id: string }>(
  'remember network',
  (v) => sql`
    with account as (select id from ${users} where id = ${v.user_id} for key share),
    ${rememberNetwork('account', v)}
    select from remembered`,
)

/**
 * CTE `remembered`: a network that the user in `from` (`id`) signed in from. Its row of the name before goes, or one network would
 * count as two of the few; skipped where it is locked, as another replica may name by the other key at the same time.
 */
export function rememberNetwork(from: string, v: Readonly<Record<keyof NetworkNames, SQL>>): SQL {
  return sql`remembered as (
      insert into ${table} (user_id, network) select id, ${v.network} from ${sql.raw(from)}
      on conflict (user_id, network) do update set signed_in_at = now()
      returning user_id
    ),
    renamed as (
      delete from ${table} where (user_id, network) in (
        select user_id, network from ${table}
        where user_id in (select id from ${sql.raw(from)}) and network = ${v.network_before} for update skip locked
      )
    )`
}
