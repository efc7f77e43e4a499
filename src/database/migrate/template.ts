import type { Send } from '../pool/transaction.ts'

/** The database is that of a FastAPI template: a start would begin with empty tables beside its full ones. */
class NotAdopted extends Error {
  override readonly name = 'NotAdopted'
}

/**
 * Whether the table "user" of the FastAPI template is there (`has_template`), and tables of this service (`has_own`). In
 * pg_class, which needs no privilege on the schema.
 */
export const TEMPLATE = `
  select exists (
      select from pg_class join pg_attribute on attrelid = pg_class.oid
      where relname = 'user' and relkind in ('r', 'p') and attname = 'hashed_password'
        and relnamespace = to_regnamespace('public')
    ) as has_template,
    exists (
      select from pg_class where relname = 'users' and relnamespace = to_regnamespace('public')
    ) as has_own`

export const NOT_ADOPTED = 'the tables of a FastAPI template are in this database, and were not adopted'
export const HOW_TO_ADOPT =
  'npm run adopt -- --dry-run says what adopting them would do (node dist/scripts/adopt.js --dry-run in an image)'

/** @throws NotAdopted */
export async function requireAdopted(send: Send): Promise<void> {
  const [found] = await send<{ has_template: boolean; has_own: boolean }[]>(TEMPLATE)
  if (found?.has_template && !found.has_own)
    throw new NotAdopted(`${NOT_ADOPTED[0]?.toUpperCase()}${NOT_ADOPTED.slice(1)}: ${HOW_TO_ADOPT}.`)
}
