import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'drizzle-orm'
import { PgTable, getTableConfig, isPgEnum } from 'drizzle-orm/pg-core'
import { migrations } from './migrations.ts'

/** drizzle-kit's snapshot of the last migration, as far as it is compared here. */
interface Snapshot {
  readonly tables: Readonly<Record<string, SnapshotTable>>
  readonly enums: Readonly<Record<string, { name: string; values: readonly string[] }>>
}

interface SnapshotTable {
  readonly name: string
  readonly columns: Readonly<
    Record<string, { name: string; type: string; notNull: boolean; default?: unknown }>
  >
  readonly indexes: Readonly<
    Record<string, { columns: readonly unknown[]; isUnique: boolean; where?: string }>
  >
  readonly foreignKeys: Readonly<Record<string, { onDelete?: string }>>
  readonly uniqueConstraints: object
  readonly checkConstraints: object
}

/**
 * Detects changes of tables, in src/database/tables.ts or src/resources, that no migration makes (`npm run db:generate` was forgotten). Compares names and
 * types with the last snapshot, not the expressions of indexes, checks and defaults. Importing drizzle-kit for it would
 * take 1.2 s.
 *
 * @param tables all of them, and enumerations
 * @returns one line, or undefined
 */
export function forgottenMigration(
  tables: readonly unknown[],
  snapshot: Snapshot | undefined = lastSnapshot(),
): string | undefined {
  if (!snapshot) return undefined
  const before = new Set(inSnapshot(snapshot))
  const now = new Set(inCode(tables))
  const differing = [...now].filter((line) => !before.has(line))
  differing.push(...[...before].filter((line) => !now.has(line)))
  if (differing.length === 0) return undefined
  const names = [...new Set(differing.map((line) => line.split(' ', 1)[0]))]
  const told = names.slice(0, MOST_NAMES).join(', ') + (names.length > MOST_NAMES ? ', …' : '')
  return `The tables have changes that no migration makes (${told}): run npm run db:generate -- --name …`
}

const MOST_NAMES = 5

/** Undefined if there are no snapshots, as in a build. */
function lastSnapshot(): Snapshot | undefined {
  const meta = join(migrations.migrationsFolder, 'meta')
  const { entries } = readJson(join(meta, '_journal.json')) as { entries: { idx: number }[] }
  const file = join(meta, `${String(entries.at(-1)?.idx).padStart(4, '0')}_snapshot.json`)
  return existsSync(file) ? (readJson(file) as Snapshot) : undefined
}

const readJson = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))

/** One line per column, index and key: its name, and what must be equal. */
function* inSnapshot({ tables, enums }: Snapshot): Generator<string> {
  for (const { name, values } of Object.values(enums)) yield `${name} ${values.join()}`
  for (const table of Object.values(tables)) {
    yield table.name
    for (const { name, type, notNull, default: given } of Object.values(table.columns))
      yield `${table.name}.${name} ${type} ${notNull} ${given !== undefined}`
    for (const [name, { columns, isUnique, where }] of Object.entries(table.indexes))
      yield `${name} index ${columns.length} ${isUnique} ${where !== undefined}`
    for (const [name, { onDelete }] of Object.entries(table.foreignKeys))
      yield `${name} key ${onDelete ?? 'no action'}`
    for (const name of Object.keys({ ...table.uniqueConstraints, ...table.checkConstraints })) yield name
  }
}

function* inCode(tables: readonly unknown[]): Generator<string> {
  for (const table of tables) {
    if (isPgEnum(table)) yield `${table.enumName} ${table.enumValues.join()}`
    if (!is(table, PgTable)) continue
    const { name: owner, columns, indexes, foreignKeys, uniqueConstraints, checks } = getTableConfig(table)
    yield owner
    for (const column of columns) {
      yield `${owner}.${column.name} ${column.getSQLType()} ${column.notNull} ${column.default !== undefined}`
      if (column.isUnique && column.uniqueName !== undefined) yield column.uniqueName
    }
    for (const { config } of indexes)
      yield `${config.name ?? nameOf(owner, config.columns)} index ${config.columns.length} ${config.unique} ${config.where !== undefined}`
    for (const key of foreignKeys) yield `${key.getName()} key ${key.onDelete ?? 'no action'}`
    for (const { name } of [...uniqueConstraints, ...checks]) if (name !== undefined) yield name
  }
}

/** drizzle-kit's name for an index without one; it takes none on expressions. */
const nameOf = (table: string, columns: readonly object[]) =>
  [table, ...columns.map((column) => ('name' in column ? column.name : '')), 'index'].join('_')
