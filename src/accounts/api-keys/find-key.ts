import { sql } from 'drizzle-orm'
import { statement } from '../../database/statement.ts'
import { apiKeys, users } from '../../database/tables.ts'
import type { CurrentUser } from '../sessions/guard.ts'

type FoundUser = Omit<
  CurrentUser,
  'session_id' | 'session_fresh' | 'session_factor' | 'session_shared' | 'generation' | 'api_key'
>

/** The user of an API key, by its hash, and what it permits. */
export interface FoundKey extends FoundUser {
  readonly api_key_id: string
  readonly permissions: string
}

/** No row where the key was deleted or has expired, or its user may not sign in. */
export const findKey = statement<{ hash: string; needs_verified: boolean }, FoundKey>(
  'find user of an API key',
  (v) => sql`
    select ${users.id}, ${users.email}, ${users.is_active}, ${users.is_superuser}, ${users.is_verified},
      ${users.full_name}, ${users.created_at}, ${apiKeys.id} as api_key_id,
      array_to_string(${apiKeys.permissions}, ' ') as permissions,
      coalesce(${apiKeys.last_used_at} < now() - interval '1 minute', true) as session_unnoted
    from ${apiKeys} join ${users} on ${users.id} = ${apiKeys.user_id}
    where ${apiKeys.hash} = ${v.hash} and ${users.is_active} and coalesce(${apiKeys.expires_at} > now(), true)
      and (${users.is_verified} or not ${v.needs_verified}::boolean)`,
  { isFirst: true },
)

/** Once a minute: of many requests at once, one writes. */
export const noteKeyUse = statement<{ id: string }>(
  'note use of an API key',
  (v) => sql`
    update ${apiKeys} set last_used_at = now()
    where id = ${v.id} and coalesce(last_used_at < now() - interval '1 minute', true)`,
)
