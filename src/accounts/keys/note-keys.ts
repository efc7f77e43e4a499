import { sql } from 'drizzle-orm'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { signingKeys } from '../../database/tables.ts'

/** How long after the last note a process may still sign with a key: it writes one a minute, and may be kept from it. */
export const KEY_IN_USE_MINUTES = 5
export const KEY_IN_USE = sql.raw(`interval '${KEY_IN_USE_MINUTES} minutes'`)

/**
 * Writes down that this process signs with SECRET_KEY: at start, and once a minute. So the doctor knows what was made before
 * the last process turned to another key.
 *
 * @returns what does so
 */
export function noteKeys(db: Database, config: KeySettings): () => Promise<void> {
  const { current, previous } = keyring(config)
  return async () => void (await db.run(note, { id: current.id, previous: previous?.id ?? null }))
}

/** Where no key was ever written down, versions before 0.3 signed with the previous one until now. */
const note = statement<{ id: string; previous: string | null }>(
  'note signing key',
  (v) => sql`
    with earlier as (
      insert into ${signingKeys} (id) select ${v.previous}::text
      where ${v.previous}::text is not null and not exists (select from ${signingKeys})
      on conflict do nothing
    )
    insert into ${signingKeys} (id) values (${v.id})
    on conflict (id) do update set last_used_at = now()`,
)
