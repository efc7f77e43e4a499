import type { Column, Found } from './look/look-at-tables.ts'

/** A table of the template, the one here that takes its rows, and the name that the old one has from then on. */
export interface Carried {
  readonly from: 'user' | 'item'
  readonly to: 'users' | 'items'
  readonly kept: 'template_user' | 'template_item'
  readonly columns: readonly string[]
}

const USERS: Carried = {
  from: 'user',
  to: 'users',
  kept: 'template_user',
  columns: ['id', 'email', 'hashed_password', 'full_name', 'is_active', 'is_superuser', 'created_at'],
}
const ITEMS: Carried = {
  from: 'item',
  to: 'items',
  kept: 'template_item',
  columns: ['id', 'title', 'description', 'owner_id', 'created_at'],
}

/** Columns that early revisions of the template lack. */
const OPTIONAL = new Set(['full_name', 'description', 'created_at'])

/** What is carried over; items where the template still has them. */
export const carriedOf = (found: Found, names: readonly string[]): Carried[] =>
  [USERS, ITEMS].filter(
    ({ from }) => names.includes(from) && (from === 'user' || found.tables.get(from)?.kind === 'table'),
  )

/** What was carried over, in an adopted database. */
export const keptOf = (found: Found): Carried[] => [USERS, ITEMS].filter(({ kept }) => found.tables.has(kept))

const columnOf = (found: Found, { from }: Carried, name: string): Column | undefined =>
  found.columnsOf(from).find((column) => column.name === name)

/** Columns that the template has, and an early revision or one's own migration has not. */
export const missingColumns = (found: Found, carried: Carried): string[] =>
  carried.columns.filter((name) => !OPTIONAL.has(name) && !columnOf(found, carried, name))

/** Columns of people's own, which stay in the old table. */
export const ownColumns = (found: Found, carried: Carried): string[] =>
  [carried.from, carried.kept]
    .flatMap((table) => found.columnsOf(table))
    .map(({ name }) => name)
    .filter((name) => !carried.columns.includes(name))

/** A column as SQL; null where the table lacks it. */
export function columnSql(found: Found, carried: Carried, name: string): string {
  const column = columnOf(found, carried, name)
  if (name === 'created_at') return createdAt(column)
  // People who sign in with Google alone, say: none that a password is compared with.
  if (name === 'hashed_password') return `coalesce(template.hashed_password, '')`
  return column ? `template.${name}` : 'null'
}

/** Null for `infinity`, too, which is no time that an answer could have. Cut to milliseconds, as JavaScript cuts them. */
function createdAt(column: Column | undefined): string {
  if (!column) return 'null::timestamptz'
  const time =
    column.type === 'timestamp with time zone'
      ? 'template.created_at'
      : `template.created_at at time zone 'UTC'`
  return `case when isfinite(template.created_at) then date_trunc('milliseconds', ${time}) end`
}
