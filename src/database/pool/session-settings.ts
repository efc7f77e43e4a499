import type { Sql } from 'postgres'
import { direct } from '../../config/database/session-parameters.ts'

/** The database is not set up as needed; the message says what to change. */
export class DatabaseUnfit extends Error {
  override readonly name = 'DatabaseUnfit'
}

/** Encoding and locale can't be changed after a database was created. */
const FIT = `
  select current_database() as database, current_setting('server_encoding') as encoding,
    lower('I') = 'i' as is_common_locale`

/** @throws DatabaseUnfit if the encoding can't store all addresses, or lower() does not fold ASCII letters */
export async function checkDatabase(client: Sql): Promise<void> {
  const [found] =
    await client.unsafe<{ database: string; encoding: string; is_common_locale: boolean }[]>(FIT)
  if (found?.encoding !== 'UTF8')
    throw new DatabaseUnfit(
      `The encoding of database ${found?.database} is ${found?.encoding}: make one with ENCODING 'UTF8'.`,
    )
  if (!found.is_common_locale)
    throw new DatabaseUnfit(
      `In the locale of database ${found.database} "I" is no capital of "i", which makes two addresses of one: make one with another LOCALE, as C.UTF-8.`,
    )
}

/** Reads the settings that can't be set through a pooler. */
export const SETTINGS = `
  select quote_ident(current_user) as role, has_schema_privilege('public', 'USAGE') as may_use,
    current_schema() is not distinct from 'public' as is_public,
    current_setting('default_transaction_isolation') as isolation,
    current_setting('extra_float_digits')::integer as digits,
    current_setting('DateStyle') like 'ISO%' as is_iso,
    current_setting('IntervalStyle') as intervals,
    current_setting('bytea_output') as bytes,
    current_setting('standard_conforming_strings') as strings,
    current_setting('transform_null_equals') as null_equals`

export interface Settings {
  readonly role: string
  readonly may_use: boolean
  readonly is_public: boolean
  readonly isolation: string
  readonly digits: number
  readonly is_iso: boolean
  readonly intervals: string
  readonly bytes: string
  readonly strings: string
  readonly null_equals: string
}

/** @throws DatabaseUnfit if settings differ from what the service needs */
export function checkSettings(found: Settings | undefined): void {
  if (!found) return
  if (!found.may_use)
    throw new DatabaseUnfit(
      `Role ${found.role} may not use the schema public: grant usage on schema public to ${found.role}.`,
    )
  const wrong = [
    !found.is_public && 'search_path = public',
    found.isolation !== 'read committed' && "default_transaction_isolation = 'read committed'",
    found.digits < 1 && 'extra_float_digits = 1', // at 0, 0.1 + 0.2 is 0.3
    !found.is_iso && "DateStyle = 'ISO, MDY'",
    found.intervals !== direct.IntervalStyle && 'IntervalStyle = postgres',
    found.bytes !== direct.bytea_output && 'bytea_output = hex',
    found.strings !== direct.standard_conforming_strings && 'standard_conforming_strings = on',
    found.null_equals !== direct.transform_null_equals && 'transform_null_equals = off',
  ].filter((setting) => setting !== false)
  if (wrong.length === 0) return
  const alter = wrong.map((setting) => `alter role ${found.role} set ${setting}`).join('; ')
  throw new DatabaseUnfit(`Connections are set otherwise than the service needs, through a pooler: ${alter}.`)
}
