import type { Sql } from 'postgres'
import { factorSecrets } from '../accounts/factors/codes.ts'
import type { Config } from '../config/config.ts'
import type { KeySettings } from '../config/keys.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

/** Second factors that can't be read with this SECRET_KEY, and superusers who have neither one nor a passkey. */
export async function* accountsFindings(
  sql: Sql,
  config: KeySettings & Pick<Config, 'SECOND_FACTOR'>,
): AsyncGenerator<Finding> {
  // What the role may not read is told with the privileges.
  const [table] = await sql`
    select bool_and(has_table_privilege(oid, 'select')) and has_schema_privilege('public', 'usage') and count(*) = 3 as is_there
    from pg_class where relname in ('factors', 'passkeys', 'users') and relnamespace = 'public'::regnamespace`
  if (!table?.is_there || config.SECRET_KEY === '') return
  const { key, previous = key } = factorSecrets(config)
  const [found] = await sql<{ unreadable: number; superusers: number; without: number }[]>`
    select
      (select count(*)::integer from factors where split_part(secret, '.', 1) not in (${key}, ${previous})) as unreadable,
      count(*)::integer as superusers,
      count(*) filter (where not exists (
        select from factors where user_id = users.id and verified_at is not null
      ) and not exists (select from passkeys where user_id = users.id))::integer as without
    from users where is_superuser and is_active`
  const { unreadable, superusers, without } = found!
  if (unreadable > 0)
    yield wrong(
      'factors',
      `${unreadable} second factors were made with another SECRET_KEY, and their codes are refused`,
      'set it as SECRET_KEY_PREVIOUS, or reset them: DELETE /api/v1/users/{user_id}/factors',
    )
  if (without === 0) yield fine('factors', 'every superuser has a second factor or a passkey')
  else if (config.SECOND_FACTOR === 'superusers')
    yield doubtful(
      'factors',
      `${without} of ${superusers} superusers have no second factor, and may do nothing else until they do`,
      'sign in and set one up, at /second-factor or /passkeys where there is no frontend',
    )
}
