import { rmSync, writeFileSync } from 'node:fs'
import { read } from './files.ts'
import { npmRun } from './programs.ts'

/** Migrations: made by drizzle-kit, completed by what it does not know (migrations/README.md). */

const META = 'migrations/meta'
const JOURNAL = `${META}/_journal.json`
const BREAKPOINT = '--> statement-breakpoint'
const LOCK_TIMEOUT = `SET LOCAL lock_timeout = '5s';${BREAKPOINT}\n`

interface Journal {
  readonly entries: readonly { readonly tag: string }[]
}
const journal = () => JSON.parse(read(JOURNAL)) as Journal

/** Names of all migrations, such as `0003_removal`. */
export const migrations = () => journal().entries.map(({ tag }) => tag)

const fileOf = (tag: string) => `migrations/${tag}.sql`
const snapshotOf = (tag: string) => `${META}/${tag.slice(0, tag.indexOf('_'))}_snapshot.json`

/** Names of the tables that the migrations make. */
export function lastSnapshot(): string[] {
  const last = migrations().at(-1)
  if (last === undefined) return []
  const { tables } = JSON.parse(read(snapshotOf(last))) as { tables: Record<string, { name: string }> }
  return Object.values(tables).map(({ name }) => name)
}

export interface Migration {
  readonly name: string
  /** The only table that it may change. */
  readonly table: string
  /** Whether the table may have rows, which nobody should wait for. */
  readonly isFilled?: boolean
  /** Searched columns, where their index is to be made. */
  readonly search?: readonly string[]
}

/** Writes the migration that the declarations ask for. @returns its file */
export function makeMigration({ name, table, isFilled = false, search = [] }: Migration): string {
  const before = migrations().length
  npmRun('db:generate', '--name', name)
  const tag = migrations().slice(before).at(0)
  if (tag === undefined) throw new Error('npm run db:generate found nothing to do for the new declaration')
  const file = fileOf(tag)
  const made = read(file)
  const other = [...made.matchAll(/ (?:TABLE|ON) "(\w+)"/g)].find(([, changed]) => changed !== table)
  if (other)
    throw new Error(`${other[1]} lacks a migration of its own: npm run db:generate, and commit it, before`)
  const patient = LOCK_TIMEOUT + (isFilled ? withoutWaits(made) : made)
  writeFileSync(file, search.length > 0 ? withSearchIndex(patient, table, search, isFilled) : patient)
  return file
}

/** An index may be there already, made by hand; constraints are checked for new rows alone. */
export const withoutWaits = (sql: string) =>
  sql
    .replaceAll('CREATE INDEX "', 'CREATE INDEX IF NOT EXISTS "')
    .replaceAll(/ADD CONSTRAINT "\w+" (?:FOREIGN KEY|CHECK) .*(?=;)/g, '$& NOT VALID')

/** @param isFilled whether there may be an index of other columns, which goes */
export function withSearchIndex(sql: string, table: string, search: readonly string[], isFilled: boolean) {
  const columns = search.map((column) => `'${column}'`).join(', ')
  const drop = `DROP INDEX IF EXISTS "${table}_search_index";${BREAKPOINT}\n`
  return `${sql.trimEnd()}${BREAKPOINT}\n${isFilled ? drop : ''}SELECT create_search_index('${table}', ${columns});\n`
}

/** Removes the last so many migrations. @returns their files */
export function removeLast(count: number): string[] {
  const { entries, ...others } = journal()
  const kept = entries.slice(0, entries.length - count)
  const files = entries.slice(kept.length).flatMap(({ tag }) => [fileOf(tag), snapshotOf(tag)])
  for (const file of files) rmSync(file)
  writeFileSync(JOURNAL, JSON.stringify({ ...others, entries: kept }, null, 2))
  return files
}
