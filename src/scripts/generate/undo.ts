import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { parseArgs } from 'node:util'
import { withoutResource } from './edits/app.ts'
import { fieldEntry, resourceEntry, withoutEntries } from './edits/changelog.ts'
import { fieldNames } from './edits/declaration.ts'
import { APP, CHANGELOG, DOCUMENT, RELEASED, read, readIfThere, writeFormatted } from './files.ts'
import { makeMigration, migrations, removeLast } from './migrations.ts'
import { npmRun } from './programs.ts'
import { isReleased, resourceOf } from './project.ts'
import { report } from './report.ts'
import { type Names, namesOf } from './source/names.ts'
import { UsageError } from './usage.ts'

/** `npm run generate -- undo notes`: takes back what `resource notes` did, as long as it is not released. */
export async function undoResource(args: string[]): Promise<void> {
  const { positionals } = parseArgs({ args, options: {}, allowPositionals: true })
  const [table = '', ...others] = positionals
  if (table === '' || others.length > 0) throw new UsageError('name the resource')
  const resource = resourceOf(table)
  if (!resource) throw new Error(`there is no resource ${table} in src/resources`)
  const names = namesOf(table, resource.one)
  if (resource.file !== names.file)
    throw new Error(`${resource.file} was not generated: remove it by hand (docs/resources.md)`)
  if (isReleased(names.path))
    throw new Error(`${table} is in ${RELEASED}: what is released goes by hand (migrations/README.md)`)
  const user = usersOf(names)
  if (user !== undefined) throw new Error(`${user} uses ${table}: remove that first`)
  const own = ownMigrations(table, fieldNames(read(names.file), resource))
  const app = withoutResource(read(APP), names)

  const removed = [names.file, names.test].filter((file) => existsSync(file))
  for (const file of removed) rmSync(file)
  await writeFormatted(APP, app)
  const migration = undoMigrations(own, table)
  npmRun('openapi')
  const entries = [resourceEntry(table, names.path), fieldEntry(table)]
  const isOwn = (line: string) => entries.some((entry) => line.startsWith(entry))
  await writeFormatted(CHANGELOG, withoutEntries(readIfThere(CHANGELOG), isOwn))
  console.log(`Without the resource ${table}:`)
  report(
    [
      ...removed.map((file) => `${file} removed`),
      ...[APP, CHANGELOG].map((file) => `${file}, without its lines`),
      ...migration,
      DOCUMENT,
    ],
    [
      'Next: npm run check.',
      ...(own > 0
        ? [
            `A database that has the table already keeps it: drop table ${table}, or remove the folder of DATA_DIR.`,
          ]
        : []),
    ],
  )
}

/** A module that imports the resource, other than app.ts and its test. */
function usersOf({ file, test }: Names): string | undefined {
  const isImport = (path: string, module: string) => join(dirname(path), module) === file
  return ['src', 'test']
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true }).map(
        (name) => `${folder}/${String(name).replaceAll('\\', '/')}`,
      ),
    )
    .filter((path) => path.endsWith('.ts') && ![file, test, APP].includes(path))
    .find((path) =>
      [...read(path).matchAll(/ from '(\.[^']*)'/g)].some(([, module = '']) => isImport(path, module)),
    )
}

/** How many of the last migrations are of this resource alone: its own, and those of its fields. */
function ownMigrations(table: string, fields: readonly string[]): number {
  const names = new Set([table, ...fields.map((field) => `${table}_${field}`)])
  const all = migrations().map((tag) => tag.slice(tag.indexOf('_') + 1))
  const first = all.lastIndexOf(table)
  return first !== -1 && all.slice(first).every((name) => names.has(name)) ? all.length - first : 0
}

/** @returns what was done with which files */
function undoMigrations(own: number, table: string): string[] {
  if (own > 0) return removeLast(own).map((file) => `${file} removed`)
  return [`${makeMigration({ name: `drop_${table}`, table })}, which drops the table`]
}
