import { sql } from 'drizzle-orm'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import type { Batch } from '../../database/upkeep/batches.ts'
import { factors, signingKeys } from '../../database/tables.ts'
import { type SealedFactor, factorSecrets } from '../factors/codes.ts'
import { KEY_IN_USE } from './note-keys.ts'

/** Takes a few milliseconds of the event loop. */
const AT_ONCE = 100
const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Encrypts secrets of authenticators anew with SECRET_KEY where SECRET_KEY_PREVIOUS has encrypted them, so that the latter can be
 * removed. It waits until no process signs with the previous key any more.
 */
export function resealFactors(db: Database, config: KeySettings): Batch {
  const sealing = factorSecrets(config)
  const previous = { key: sealing.previous ?? '', id: keyring(config).previous?.id ?? '' }
  let after = FIRST_ID

  return async (size) => {
    if (sealing.previous === undefined) return 0
    const found = await db.run(findSealed, { ...previous, after })
    const opened = found.flatMap(({ id, secret }) => {
      const text = sealing.open(secret, id)
      return text === undefined ? [] : [{ id, secret, resealed: sealing.seal(text, id) }]
    })
    const list = (name: 'id' | 'secret' | 'resealed') => opened.map((factor) => factor[name]).join(' ')
    if (opened.length > 0)
      await db.run(reseal, { ids: list('id'), secrets: list('secret'), resealed: list('resealed') })
    after = found.length < AT_ONCE ? FIRST_ID : found.at(-1)!.id
    return found.length < AT_ONCE ? 0 : size
  }
}

const findSealed = statement<{ key: string; id: string; after: string }, SealedFactor>(
  'find factors of the previous key',
  (v) => sql`
    select id, secret from ${factors}
    where id > ${v.after} and split_part(secret, '.', 1) = ${v.key} and not exists (
      select from ${signingKeys}
      where ${signingKeys.id} = ${v.id} and ${signingKeys.last_used_at} > now() - ${KEY_IN_USE}
    )
    order by id limit ${sql.raw(String(AT_ONCE))}`,
)

/** None that was replaced meanwhile. */
const reseal = statement<{ ids: string; secrets: string; resealed: string }>(
  'reseal factors',
  (v) => sql`
    update ${factors} set secret = sealed.resealed
    from unnest(
      string_to_array(${v.ids}, ' ')::uuid[], string_to_array(${v.secrets}, ' '), string_to_array(${v.resealed}, ' ')
    ) as sealed (id, secret, resealed)
    where ${factors.id} = sealed.id and ${factors.secret} = sealed.secret`,
)
