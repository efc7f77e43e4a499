import type { Sql } from 'postgres'
import { factorSecrets } from '../accounts/factors/codes.ts'
import type { Config } from '../config/config.ts'
import type { KeySettings } from '../config/secrets/keys.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

/** Second factors that can't be read with this SECRET_KEY, superusers who have neither one nor a passkey, and the key of an adopted template. */
export async function* accountsFindings(
  sql: Sql,
  config: KeySettings & Pick<Config, 'ADOPTED_SECRET_KEY' | 'SECOND_FACTOR'>,
): AsyncGenerator<Finding> {
  // What the role may not read is told with the privileges.
  const [table] = await sql`
    select bool_and(has_table_privilege(oid, 'select')) and has_schema_privilege('public', 'usage') and count(*) = 4 as is_there
    from pg_class where relname in ('factors', 'passkeys', 'sessions', 'users') and relnamespace = 'public'::regnamespace`
  if (!table?.is_there || config.SECRET_KEY === '') return
  if (config.ADOPTED_SECRET_KEY !== undefined) yield await adoptedKeyFinding(sql)
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

/** The key of an adopted template (docs/from-fastapi-template.md) is of use while sessions stand for its tokens. */
async function adoptedKeyFinding(sql: Sql): Promise<Finding> {
  const [found] = await sql<{ count: number; last: Date | null }[]>`
    select count(*)::integer as count, max(expires_at) as last from sessions
    where 'template' = any(methods) and expires_at > now()`
  const { count, last } = found!
  return last
    ? fine('adoption', `tokens of the template are honoured for ${count} users, until ${last.toISOString()}`)
    : doubtful('adoption', 'ADOPTED_SECRET_KEY is of no use any more', 'unset it')
}
