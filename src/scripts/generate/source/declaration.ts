import { article, capitalized, inWords, singular } from '../../../ownership/names.ts'
import { withImport } from '../edits/imports.ts'
import type { Field } from '../grammar/fields.ts'
import type { Listing } from '../grammar/listing.ts'
import type { Names } from './names.ts'

/** The source of a declaration: src/resources/<names>.ts. */

/** Where a table comes from that a field refers to. */
export interface Target {
  readonly constant: string
  readonly module: string
}

/** By the names of tables. */
export type Targets = ReadonlyMap<string, Target>

export function declarationOf(
  names: Names,
  fields: readonly Field[],
  listing: Listing,
  targets: Targets,
): string {
  const { table, constant, routes } = names
  const description = `${capitalized(inWords(table))} of a user.`
  const source = `
export const ${constant} = ownedTable('${table}', {
${fields.map((field) => `${fieldSource(field, names, targets)},\n`).join('')}}${listingSource(listing, names)})

export const ${routes} = resource(${constant}, { description: ${JSON.stringify(description)} })
`
  const imported = [
    ...fields.flatMap((field) => importsOf(field, names, targets)),
    ['ownedTable', '../ownership/owned-table.ts'],
    ['resource', '../ownership/resource.ts'],
  ] as const
  return imported.reduce((text, [name, path]) => withImport(text, name, path), source)
}

/** What a field needs in its module: names, and where they are from. */
export function importsOf(
  { type, isOptional }: Field,
  { table }: Pick<Names, 'table'>,
  targets: Targets,
): [name: string, path: string][] {
  const target = type.refersTo === table ? undefined : targets.get(type.refersTo ?? '')
  const functions = [type.name, ...(type.uses ?? []), ...(isOptional ? ['optional'] : [])]
  return [
    ...functions.map((name): [string, string] => [name, '../ownership/fields.ts']),
    ...(type.name === 'json' ? [['Type', '@sinclair/typebox'] as [string, string]] : []),
    ...(target ? [[target.constant, target.module] as [string, string]] : []),
  ]
}

/** `due: optional(day())` */
export function fieldSource(
  field: Field,
  names: Pick<Names, 'table' | 'one' | 'constant'>,
  targets: Targets,
) {
  const { name, type, isOptional, default: value, fill } = field
  const example = type.name === 'text' && value === undefined ? { example: exampleOf(field, names.one) } : {}
  const options = {
    ...type.options,
    ...example,
    ...(value !== undefined && { default: value }),
    ...(fill !== undefined && { fill }),
  }
  const said = Object.keys(options).length > 0 ? [objectSource(options)] : []
  const declared = `${type.name}(${[...argsOf(field, names, targets), ...said].join(', ')})`
  return `${name}: ${isOptional ? `optional(${declared})` : declared}`
}

function argsOf(
  { type }: Field,
  names: Pick<Names, 'table' | 'constant'>,
  targets: Targets,
): readonly string[] {
  if (type.refersTo === undefined) return type.args ?? []
  // Of a table that refers to itself, TypeScript can't infer the type.
  if (type.refersTo === names.table) return [`(): object => ${names.constant}`]
  return [`() => ${targets.get(type.refersTo)?.constant}`]
}

const exampleOf = ({ name, type }: Field, one: string) =>
  capitalized(inWords(`${name} of ${article(one)} ${one}`)).slice(0, Number(type.args?.[0]))

const objectSource = (options: object) =>
  `{ ${Object.entries(options)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join(', ')} }`

function listingSource({ sort, search, filter, readers }: Listing, { one, table }: Names): string {
  const lists = Object.entries({ sort, search, filter }).filter(([, names]) => names.length > 0)
  const options = {
    ...(one !== singular(table) && { one }),
    ...Object.fromEntries(lists),
    ...(readers !== undefined && { readers }),
  }
  return Object.keys(options).length > 0 ? `, ${objectSource(options)}` : ''
}
