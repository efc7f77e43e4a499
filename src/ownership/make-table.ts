import { getTableColumns, sql } from 'drizzle-orm'
import {
  type CheckBuilder,
  type ExtraConfigColumn,
  type IndexBuilder,
  type PgColumn,
  type PgColumnBuilderBase,
  type PgTable,
  check,
  index,
  pgTable,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { isText, mayLackKey, sortKey } from '../database/sort-key.ts'
import { users } from '../database/tables.ts'
import { type Field, columnOf } from './fields.ts'

/** Columns that every owned table has. */
const GIVEN = ['id', 'owner_id', 'created_at']

/** The Drizzle table of an owned one, with its indexes and constraints. */
export function makeTable(
  name: string,
  declared: Readonly<Record<string, Field>>,
  { sort, filter, unique, readers }: Record<'sort' | 'filter' | 'unique' | 'readers', readonly string[]>,
): PgTable {
  const taken = GIVEN.find((field) => field in declared)
  if (taken !== undefined) throw new TypeError(`${name}: every owned table has its own ${taken}`)
  const columns = Object.entries(declared).map(([field, declaration]) => [
    field,
    referring(columnOf(declaration), declaration),
  ])
  const table = pgTable(
    name,
    {
      id: uuid().primaryKey().defaultRandom(),
      ...(Object.fromEntries(columns) as Record<string, PgColumnBuilderBase>),
      owner_id: uuid()
        .notNull()
        .references(() => users.id, { onDelete: 'cascade' }),
      created_at: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
    },
    (columns): (IndexBuilder | CheckBuilder)[] => {
      // Those of an index are copies without the length of their type.
      const typed: Record<string, PgColumn> = getTableColumns(table)
      const copies = columns as Record<string, PgColumn & ExtraConfigColumn>
      return [
        ...['created_at', ...sort].flatMap((field) => sortIndexes(name, field, typed[field]!, copies)),
        ...filter
          .filter((field) => isText(typed[field]!) || !sort.includes(field))
          .flatMap((field) => filterIndexes(name, field, copies)),
        ...Object.entries(declared)
          .filter(([field, { reference }]) => reference !== undefined || readers.includes(field))
          .filter(([field]) => !filter.includes(field) && !sort.includes(field))
          .map(([field]) => index(`${name}_${field}_index`).on(copies[field]!)),
        ...unique.map((field) =>
          uniqueIndex(`${name}_owner_id_${field}_unique`).on(copies.owner_id!, copies[field]!),
        ),
        ...Object.entries(declared).flatMap(([field, declaration]) =>
          declaration.check
            ? [check(`${name}_${field}_check`, declaration.check(sql.identifier(typed[field]!.name)))]
            : [],
        ),
      ]
    },
  )
  return table
}

interface Referring {
  references(column: () => PgColumn, actions: object): PgColumnBuilderBase
}

function referring(builder: PgColumnBuilderBase, { reference }: Field): PgColumnBuilderBase {
  if (!reference) return builder
  const { table, onDelete } = reference
  // The id of any table, owned or not.
  const id = () => (table() as PgTable & { id: PgColumn }).id
  return (builder as PgColumnBuilderBase & Referring).references(id, { onDelete })
}

type Copies = Record<string, PgColumn & ExtraConfigColumn>

/** For an owner's list and the list of all, in both directions. */
function sortIndexes(name: string, field: string, column: PgColumn, copies: Copies): IndexBuilder[] {
  const { id, owner_id } = copies
  const key = sortKey(column, copies[field]!)
  const indexes = [
    index(`${name}_owner_id_${field}_id_index`).on(owner_id!, key, id!),
    index(`${name}_${field}_id_index`).on(key, id!),
  ]
  if (!mayLackKey(column)) return indexes
  // Nulls are last in both directions, which takes an index for each.
  const falling = [sql`${key} desc nulls last`, sql`${id!} desc`] as const
  return [
    ...indexes,
    index(`${name}_owner_id_${field}_desc_index`).on(owner_id!, ...falling),
    index(`${name}_${field}_desc_index`).on(...falling),
  ]
}

const filterIndexes = (name: string, field: string, { owner_id, ...copies }: Copies): IndexBuilder[] => [
  index(`${name}_owner_id_${field}_filter_index`).on(owner_id!, copies[field]!),
  index(`${name}_${field}_filter_index`).on(copies[field]!),
]
