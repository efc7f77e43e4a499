import type { Send } from '../database/pool/transaction.ts'
import { type Carried, columnSql } from './carried.ts'
import type { Found } from './look/look-at-tables.ts'
import type { Rename } from './renames.ts'

/** Tells of a step once it is done. */
export type Step = <T>(what: string, work: () => Promise<T>) => Promise<T>

/** Copies the rows. Indexes and foreign keys are made after them, as pg_restore does: each at once instead of row by row. */
export async function carryOver(
  send: Send,
  step: Step,
  found: Found,
  carried: readonly Carried[],
  renames: readonly Rename[],
): Promise<void> {
  const names = carried.map(({ to }) => `'${to}'::regclass`).join(', ')
  const indexes = [...(await send<Index[]>(indexesOf(names)))]
  const keys = [...(await send<Key[]>(keysOf(names)))]
  for (const { table, name } of keys) await send(`alter table ${table} drop constraint ${name}`)
  for (const { name } of indexes) await send(`drop index ${name}`)

  for (const table of carried)
    await step(`rows of "${table.from}" are copied to ${table.to}`, async () => {
      await send(copyDated(found, table))
      await send(copyUndated(found, table))
    })
  for (const { id, to } of renames) await send('update users set email = $2 where id = $1', [id, to])

  for (const { name, definition } of indexes) await step(`index ${name} is made`, () => send(definition))
  for (const { table, name, definition } of keys)
    await step(`${name} is checked`, () => send(`alter table ${table} add constraint ${name} ${definition}`))
  for (const { to } of carried) await send(`analyze ${to}`)
  await step('each user has a row in the audit', () => send(AUDIT))
}

/** As an import writes it (accounts/import/add-users.ts). */
const AUDIT = `
  insert into audit_events (event, subject_id, details) select 'user_created', id, '{"by": "adoption"}' from users`

interface Index {
  readonly name: string
  readonly definition: string
}

interface Key extends Index {
  readonly table: string
}

const indexesOf = (tables: string) => `
  select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
  where indrelid in (${tables}) and not exists (select from pg_constraint where conindid = indexrelid)
  order by 1`

const keysOf = (tables: string) => `
  select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
  from pg_constraint where contype = 'f' and conrelid in (${tables}) order by 1, 2`

/**
 * The rows, up to their time. Whoever is inactive with a credentials_version of 0 was never active: these were, and get no
 * welcome when they are activated again.
 */
function insertRows(found: Found, table: Carried): string {
  const names = table.columns.filter((name) => name !== 'created_at')
  const values = names.map((name) => columnSql(found, table, name))
  if (table.to === 'users') {
    names.push('credentials_version')
    values.push('(not template.is_active)::integer')
  }
  return `insert into ${table.to} (${names.join(', ')}, created_at) select ${values.join(', ')},`
}

const copyDated = (found: Found, table: Carried) => {
  const createdAt = columnSql(found, table, 'created_at')
  return `
    ${insertRows(found, table)} ${createdAt}
    from "${table.from}" as template where ${createdAt} is not null`
}

/** Rows without a time are older than all others, a millisecond apart, in the order in which they lie in the table. */
const copyUndated = (found: Found, table: Carried) => {
  const createdAt = columnSql(found, table, 'created_at')
  return `
    ${insertRows(found, table)}
      (select coalesce(min(${createdAt}), now()) from "${table.from}" as template)
        - (count(*) over () - row_number() over (order by template.ctid) + 1) * interval '1 millisecond'
    from "${table.from}" as template where ${createdAt} is null`
}
