import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { Send } from '../../database/pool/transaction.ts'
import { type Carried, missingColumns } from '../carried.ts'
import type { Found } from './look-at-tables.ts'

/** Why these tables can't be adopted as they are; a line each, with the fix. Empty where they can. */
export async function refusalsOf(
  send: Send,
  found: Found,
  carried: readonly Carried[],
  tables: readonly PgTable[],
): Promise<string[]> {
  if (found.tables.get('user')?.kind !== 'table') return [nothingHere(found)]
  const revision = found.revision === undefined ? 'without a revision' : `at revision ${found.revision}`
  const refusals: string[] = []
  for (const table of carried) {
    const missing = missingColumns(found, table)
    if (missing.length > 0)
      refusals.push(
        `"${table.from}" (${revision}) has no ${missing.join(', ')}: it is no table of the FastAPI template`,
      )
    const id = found.columnsOf(table.from).find(({ name }) => name === 'id')
    if (id && id.type !== 'uuid')
      refusals.push(
        `"${table.from}" (${revision}) has ids of type ${id.type}: bring the template to 1a31ce608336 or later first (alembic upgrade head)`,
      )
  }
  return [
    ...refusals,
    ...privileges(found, carried),
    ...keys(found),
    ...(await namesInUse(send, found, carried, tables)),
  ]
}

function nothingHere({ database, tables }: Found): string {
  const has = tables.has('users') ? ', but tables of this service' : ''
  return `there is no table "user" of a FastAPI template in database ${database}${has}: is this the right DATABASE_URL?`
}

function* privileges({ tables, references, role, may_create, database }: Found, carried: readonly Carried[]) {
  const foreign = carried.flatMap(({ from }) => tables.get(from) ?? []).find(({ is_owned }) => !is_owned)
  const theirs = references.filter(({ is_owned }) => !is_owned).map(({ table }) => table)
  if (foreign || theirs.length > 0)
    yield `${role} owns not all of ${[...carried.map(({ from }) => `"${from}"`), ...theirs].join(', ')}: run this as ${foreign?.owner ?? 'their owner'}`
  if (!may_create)
    yield `${role} may create no tables, or no schema: grant create on schema public to ${role}; grant create on database ${database} to ${role}`
}

function* keys({ references }: Found) {
  for (const { table, name, definition, is_of_id } of references)
    if (!is_of_id)
      yield `${name} of ${table} refers to something else than the id (${definition}): drop it first`
}

/** Tables and indexes of this service whose names are taken; and rows that are in them, where they are its own. */
async function namesInUse(send: Send, found: Found, carried: readonly Carried[], tables: readonly PgTable[]) {
  const kept = carried.filter((table) => found.tables.has(table.kept)).map(({ kept }) => kept)
  const old = kept.map((name) => `${name} is there already: drop or rename what an earlier adoption left`)
  if (found.is_migrated && found.tables.has('users')) return [...old, ...(await rowsHere(send, carried))]
  const configs = tables.map(getTableConfig)
  const indexes = configs.flatMap((table) => table.indexes.map(({ config }) => config.name))
  const names = [...configs.map(({ name }) => name), ...indexes]
  const taken = await send<{ name: string }[]>(
    `select quote_ident(relname) as name from pg_class
     where relnamespace = 'public'::regnamespace and relname = any(string_to_array($1, ',')) order by 1`,
    [names.join()],
  )
  return [
    ...old,
    ...taken.map(
      ({ name }) =>
        `${name} is the name of a table or index of this service: rename yours first (alter table ${name} rename to …)`,
    ),
  ]
}

async function rowsHere(send: Send, carried: readonly Carried[]): Promise<string[]> {
  const counts: string[] = []
  for (const { to } of carried) {
    const [found] = await send<{ count: number }[]>(`select count(*)::float8 as count from ${to}`)
    if (found && found.count > 0) counts.push(`${found.count} in ${to}`)
  }
  if (counts.length === 0) return []
  return [
    `this service has rows here already (${counts.join(', ')}), as after a start before the adoption: truncate users cascade, if none of them is of use`,
  ]
}
