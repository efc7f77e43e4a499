import { parseArgs } from 'node:util'
import { fieldEntry, withAdded } from './edits/changelog.ts'
import { fieldNames, namesInOption, withField, withOption } from './edits/declaration.ts'
import { withImport } from './edits/imports.ts'
import { checkOldRows, nextSteps } from './field-steps.ts'
import { CHANGELOG, DOCUMENT, read, readIfThere, writeFormatted } from './files.ts'
import { type Field, readField, withFill } from './grammar/fields.ts'
import { checkListing } from './grammar/listing.ts'
import { makeMigration } from './migrations.ts'
import { checkNothingUncommitted, npmRun, orRestore } from './programs.ts'
import { type Resource, resourceOf } from './project.ts'
import { report } from './report.ts'
import { fieldSource, importsOf } from './source/declaration.ts'
import { namesOf } from './source/names.ts'
import { targetsOf } from './source/targets.ts'
import { withSent } from './source/test.ts'
import { UsageError } from './usage.ts'

const OPTIONS = ['sort', 'search', 'filter'] as const

/** `npm run generate -- field notes 'colour:oneOf(red,blue)=red' --filter`: one more field of a resource. */
export async function generateField(args: string[]): Promise<void> {
  const { resource, field, options } = understood(args)
  const { table, file } = resource
  const before = read(file)
  if (fieldNames(before, resource).includes(field.name))
    throw new Error(`${file} has a field ${field.name} already: choose another name`)
  const of = (option: (typeof OPTIONS)[number]) => (options.includes(option) ? [field.name] : [])
  checkListing(table, [field], { sort: of('sort'), search: of('search'), filter: of('filter') })
  checkNothingUncommitted()
  const declaration = declared(before, resource, field, options)
  const search = options.includes('search') ? namesInOption(declaration, resource, 'search') : []

  const { test } = namesOf(table)
  const tested = withSent(readIfThere(test), field)
  const more = tested === undefined ? [] : [test]

  await orRestore([file, 'migrations', DOCUMENT, CHANGELOG, ...more], async () => {
    await writeFormatted(file, declaration)
    if (tested !== undefined) await writeFormatted(test, tested)
    const name = `${table}_${field.name}`
    const migration = makeMigration({ name, table, isFilled: true, search })
    npmRun('openapi')
    await writeFormatted(CHANGELOG, withAdded(readIfThere(CHANGELOG), fieldEntry(table, `${field.name}\`.`)))
    console.log(`The field ${field.name} of ${table}:`)
    report([file, migration, DOCUMENT, CHANGELOG, ...more], nextSteps(resource, field, read(migration)))
  })
}

function understood(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    options: {
      sort: { type: 'boolean', default: false },
      search: { type: 'boolean', default: false },
      filter: { type: 'boolean', default: false },
      fill: { type: 'string' },
    },
    allowPositionals: true,
  })
  const [table, text, ...others] = positionals
  if (table === undefined || text === undefined || others.length > 0)
    throw new UsageError('name the resource and one field')
  const resource = resourceOf(table)
  if (!resource) throw new Error(`there is no resource ${table} in src/resources: generate it first`)
  const plain = readField(text)
  const field = values.fill === undefined ? plain : withFill(plain, values.fill)
  checkOldRows(field, text)
  return { resource, field, options: OPTIONS.filter((option) => values[option]) }
}

/** The module of the resource with the field in it. */
function declared(
  source: string,
  resource: Resource,
  field: Field,
  options: readonly (typeof OPTIONS)[number][],
): string {
  const targets = targetsOf([field], resource.table, resource.file)
  const added = withField(source, resource, fieldSource(field, resource, targets))
  const listed = options.reduce((text, option) => withOption(text, resource, option, field.name), added)
  const imports = importsOf(field, resource, targets)
  return imports.reduce((text, [name, path]) => withImport(text, name, path), listed)
}
