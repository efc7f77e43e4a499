import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pascalCase, singular } from '../../ownership/names.ts'
import { DOCUMENT, RELEASED, read, readIfThere } from './files.ts'
import { lastSnapshot } from './migrations.ts'

/** What the project has already. */

const RESOURCES = 'src/resources'

/** A table that a file of src/resources declares. */
export interface Resource {
  readonly table: string
  readonly one: string
  readonly constant: string
  readonly file: string
  /** Its fields that refer to others, with the constants of their tables. */
  readonly references: readonly { readonly field: string; readonly to: string }[]
}

const DECLARATION = /^export const (\w+) = ownedTable\(\s*'(\w+)'/m
const REFERENCE = /\b(\w+): (?:optional\()?reference\(\(\)(?:: object)? => (\w+)/g

export const resources = (): Resource[] =>
  readdirSync(RESOURCES, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .flatMap((name) => {
      const file = join(RESOURCES, name).replaceAll('\\', '/')
      const source = read(file)
      const [, constant, table] = DECLARATION.exec(source) ?? []
      if (constant === undefined || table === undefined) return []
      const [, one = singular(table)] = /\bone: '(\w+)'/.exec(source) ?? []
      const references = [...source.matchAll(REFERENCE)].map(([, field = '', to = '']) => ({ field, to }))
      return [{ table, one, constant, file, references }]
    })

/** The resource of a table, by what is known of it from src/resources. */
export const resourceOf = (table: string) => resources().find((one) => one.table === table)

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly examples?: readonly unknown[]
  readonly enum?: readonly unknown[]
  readonly type?: string
}

export interface Document {
  readonly tags?: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, unknown>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export const currentDocument = () => JSON.parse(read(DOCUMENT)) as Document

/** Whether clients of the last release know the path. */
export const isReleased = (path: string) =>
  existsSync(RELEASED) && path in (JSON.parse(read(RELEASED)) as Document).paths

/** Names that a new resource can't have, each with what has it. */
export function takenNames(document: Document): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of Object.keys(document.paths)) {
    const [, first = ''] = /^\/api\/v1\/([\w-]+)/.exec(path) ?? []
    found.set(first.replaceAll('-', '_'), `the path ${path}`)
  }
  for (const { name } of document.tags ?? []) found.set(name, `a tag of ${DOCUMENT}`)
  for (const [, tag = ''] of readIfThere('src/contract/document.ts').matchAll(/\{ name: '(\w+)'/g))
    found.set(tag, 'a tag of src/contract/document.ts')
  for (const table of lastSnapshot()) found.set(table, 'a table')
  for (const { table, file } of resources()) found.set(table, file)
  return found
}

/** Schemas of the document that a new resource would have. */
export const takenComponent = ({ components }: Document, table: string, one: string) =>
  [
    ...['Public', 'Create', 'Created'].map((end) => pascalCase(table) + end),
    ...['Public', 'Create', 'Update'].map((end) => pascalCase(one) + end),
  ].find((name) => name in components.schemas)

/** Values for the fields that the creation of a row must have, of those that refer to nothing. */
export function neededValues({ components }: Document, { one, references }: Resource) {
  const { properties = {}, required = [] } = components.schemas[`${pascalCase(one)}Create`] ?? {}
  const plain = required.filter((name) => !references.some(({ field }) => field === name))
  const needed = references.filter(({ field }) => required.includes(field))
  return { values: Object.fromEntries(plain.map((name) => [name, plainest(properties[name] ?? {})])), needed }
}

const plainest = ({ examples, enum: values, type }: Schema): unknown => {
  const [example] = examples ?? values ?? []
  if (example !== undefined) return example
  if (type === 'boolean') return false
  if (type === 'integer' || type === 'number') return 1
  if (type === 'array') return []
  return type === 'string' ? 'text' : {}
}
