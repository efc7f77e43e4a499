import { type Carried, ownColumns } from '../carried.ts'
import type { Rows } from './look-at-rows.ts'
import type { Found } from './look-at-tables.ts'
import type { Rename } from '../renames.ts'

/** Rows that are copied a second, with their indexes, most of it for that of searches; for the time that is told beforehand. */
const ROWS_PER_SECOND = 10_000
/** Copy, indexes and write-ahead log together, in sizes of the old tables. */
const DISK = 4

const counted = (count: number, one: string) =>
  `${count.toLocaleString('en')} ${one}${count === 1 ? '' : 's'}`

/** What an adoption would do, or does: a line each. */
export function* planLines(
  found: Found,
  carried: readonly Carried[],
  rows: Rows,
  renames: readonly Rename[],
) {
  yield `Database ${found.database}, revision ${found.revision ?? 'unknown'} of the template`
  yield `users: ${counted(rows.users, 'row')}, ${rows.inactive} inactive, ${counted(rows.superusers, 'superuser')}`
  yield `passwords: ${kinds(rows.hashes)}`
  const others = rows.hashes.filter(({ isComparable }) => !isComparable)
  if (others.length > 0)
    yield `these can't be compared here, as they are of no known kind or cost too much: ${kinds(others)}; their users ask for a recovery link`
  if (carried.length > 1) yield `items: ${counted(rows.items, 'row')}`
  const { users, items } = rows.undated
  if (users + items > 0)
    yield `without created_at: ${counted(users, 'user')}, ${counted(items, 'item')}, which come before all others`
  if (rows.odd > 0)
    yield `addresses beyond ASCII, or with more than 64 characters before the @: ${rows.odd}, kept as they are`
  for (const { id, from, to } of renames) yield `new address: ${from} (${id}) signs in as ${to} from then on`
  for (const { table, name, to } of found.references)
    yield `foreign key: ${name} of ${table} will lead to ${to}s`
  for (const table of carried) yield* staying(found, table)
  for (const what of found.dependents) yield `yours, and not moved: ${what} stays with the old table`
  yield `afterwards the old tables are ${carried.map(({ kept }) => kept).join(' and ')}, until you drop them`
  const names = [...carried.map(({ from }) => `"${from}"`), ...found.references.map(({ table }) => table)]
  const seconds = Math.ceil((rows.users + rows.items) / ROWS_PER_SECOND)
  yield `locked meanwhile, for about ${seconds} s: ${[...new Set(names)].join(', ')}`
  yield `disk: about ${megabytes(found, carried)} MB more`
}

const kinds = (hashes: Rows['hashes']) =>
  hashes.map(({ kind, count }) => `${kind} ${count.toLocaleString('en')}`).join(', ')

function* staying(found: Found, table: Carried) {
  const own = ownColumns(found, table)
  if (own.length > 0) yield `columns of yours that stay in ${table.kept} alone: ${own.join(', ')}`
}

export const megabytes = ({ tables }: Found, carried: readonly Carried[]): number =>
  Math.ceil((carried.reduce((sum, { from }) => sum + (tables.get(from)?.bytes ?? 0), 0) * DISK) / 2 ** 20)

/** Those whose addresses are one here; whoever would keep it first. */
export function namesakeLines({ namesakes }: Rows): string[] {
  return namesakes.map(
    ({ email, id, is_superuser, items, created_at }) =>
      `${email} (${id}, ${is_superuser ? 'superuser, ' : ''}${counted(items, 'item')}, ${created_at?.toISOString() ?? 'without created_at'})`,
  )
}
