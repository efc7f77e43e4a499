import { parseArgs } from 'node:util'
import { checkFieldNames, checkIsFree, checkName } from './checks.ts'
import { withResource } from './edits/app.ts'
import { resourceEntry, withAdded } from './edits/changelog.ts'
import { APP, CHANGELOG, DOCUMENT, read, readIfThere, writeFormatted } from './files.ts'
import { readField } from './grammar/fields.ts'
import { type Listing, checkListing, namesIn } from './grammar/listing.ts'
import { makeMigration } from './migrations.ts'
import { checkNothingUncommitted, npmRun, orRestore } from './programs.ts'
import { currentDocument } from './project.ts'
import { report } from './report.ts'
import { declarationOf } from './source/declaration.ts'
import { type Names, namesOf } from './source/names.ts'
import { parentsOf } from './source/parents.ts'
import { targetsOf } from './source/targets.ts'
import { testOf } from './source/test.ts'
import { UsageError } from './usage.ts'

/** `npm run generate -- resource notes 'text:text(1000)' …`: a new resource with all that belongs to it. */
export async function generateResource(args: string[]): Promise<void> {
  const { names, fields, listing } = understood(args)
  checkFieldNames(fields)
  checkListing(names.table, fields, listing)
  checkNothingUncommitted()
  checkIsFree(names, currentDocument())
  const targets = targetsOf(fields, names.table, names.file)
  const app = withResource(read(APP), names)
  const parents = parentsOf(fields.flatMap(({ type }) => type.refersTo ?? []))

  const written = [names.file, APP, 'migrations', DOCUMENT, CHANGELOG, names.test]
  await orRestore(written, async () => {
    await writeFormatted(names.file, declarationOf(names, fields, listing, targets))
    await writeFormatted(APP, app)
    const { table } = names
    const migration = makeMigration({ name: table, table, search: listing.search })
    npmRun('openapi')
    await writeFormatted(CHANGELOG, withAdded(readIfThere(CHANGELOG), resourceEntry(table, names.path)))
    await writeFormatted(names.test, testOf(names, fields, listing, parents))
    console.log(`The resource ${table}:`)
    report([names.file, APP, migration, DOCUMENT, CHANGELOG, names.test], nextSteps(names))
  })
}

function understood(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    options: {
      sort: { type: 'string' },
      search: { type: 'string' },
      filter: { type: 'string' },
      readers: { type: 'string' },
      one: { type: 'string' },
    },
    allowPositionals: true,
  })
  const [table, ...declared] = positionals
  if (table === undefined) throw new UsageError('name the resource')
  checkName(table, values.one)
  if (declared.length === 0) throw new UsageError(`${table} has no fields`)
  const listing: Listing = {
    sort: namesIn(values.sort),
    search: namesIn(values.search),
    filter: namesIn(values.filter),
    ...(values.readers !== undefined && { readers: values.readers }),
  }
  return { names: namesOf(table, values.one), fields: declared.map(readField), listing }
}

const nextSteps = ({ table, test }: Names) => [
  `Next: npm run check, npm test -- ${test}, and npm run dev with /docs to try it.`,
  `To undo it: npm run generate -- undo ${table}`,
]
