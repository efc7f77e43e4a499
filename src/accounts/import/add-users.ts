import { sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { statement } from '../../database/statement.ts'
import { emails, users } from '../../database/tables.ts'
import { type Trail, audit } from '../audit/audit.ts'
import { newToken } from '../tokens.ts'
import type { ImportedUser } from './read-row.ts'

/** A user with what is stored as their hash: empty where they have to choose a password. */
export interface UserToAdd extends Omit<ImportedUser, 'hash'> {
  readonly hashed_password: string
}

/** A line whose user was not added. */
export interface LeftOut {
  readonly line: number
  readonly reason: string
}

/** Nobody did it in a request. */
const trail: Record<keyof Trail, null> = {
  ip_address: null,
  user_agent: null,
  request_id: null,
  actor_id: null,
  actor_session_id: null,
  actor_key_id: null,
}

export const addValues = (rows: readonly UserToAdd[]) => ({ ...trail, rows: JSON.stringify(rows) })

/** Of a row: whether this transaction added it, before the statement. */
const isOfImport = sql`${users}.xmin = pg_current_xact_id()::xid`

/**
 * Adds many users, with a row of the audit each, and mails those without a hash a link to choose a password. A row for each
 * line whose address or id is in use, or of an earlier line: to be run in one transaction with those before.
 */
export const compileAddUsers = (config: Pick<Config, 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>) =>
  statement<ReturnType<typeof addValues>, LeftOut>(
    'import users',
    (v) => sql`
    with given as (
      select *, row_number() over (partition by lower(email) order by line) as nth_of_email,
        row_number() over (partition by id order by line) as nth_of_id
      from json_to_recordset(${v.rows}::text::json) as row (
        line integer, id uuid, email text, other_spelling text, full_name text, hashed_password text,
        is_verified boolean, is_active boolean, created_at timestamptz
      )
    ),
    holder as (
      select given.line, bool_or(${isOfImport}) as is_of_import
      from given join ${users} on lower(${users.email}) in (lower(given.email), lower(given.other_spelling))
      group by given.line
    ),
    account as (
      insert into ${users} (id, email, full_name, hashed_password, is_verified, is_active, created_at)
      select id, email, full_name, hashed_password, is_verified, is_active, coalesce(created_at, now()) from given
      where nth_of_email = 1 and nth_of_id = 1 and line not in (select line from holder)
      order by line
      on conflict do nothing
      returning id, email, hashed_password, is_active
    ),
    ${audit('user_created', 'account', v, { details: sql`'{"by": "import"}'::jsonb` })},
    recovering as (
      select id, email from account where hashed_password = '' and is_active
    ),
    ${newToken('recovery', 'reset_password', 'recovering', config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60)},
    mail as (
      insert into ${emails} (user_id, message, recipient, token_id)
      select recovering.id, 'recovery', recovering.email, recovery.id
      from recovering join recovery on recovery.user_id = recovering.id
    )
    select given.line, case
        when nth_of_email > 1 or is_of_import then 'email: of an earlier line'
        when is_of_import is not null then 'email: in use'
        when nth_of_id > 1 or exists (select from ${users} where ${users.id} = given.id and ${isOfImport})
          then 'id: of an earlier line'
        when exists (select from ${users} where ${users.id} = given.id) then 'id: in use'
        else 'email: in use'
      end as reason
    from given left join holder on holder.line = given.line
    where not exists (select from account where account.id = given.id and lower(account.email) = lower(given.email))
      or nth_of_email > 1
    order by given.line`,
    { isLong: true },
  )
