import { camelCase } from '../../../ownership/names.ts'
import type { Field } from '../grammar/fields.ts'
import type { Listing } from '../grammar/listing.ts'
import type { Names } from './names.ts'

/** The rows that a generated test makes before its own, and how its own refer to them. */

/** A row that must be there before, as others refer to it. */
export interface Parent {
  readonly table: string
  readonly one: string
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  /** Fields that refer to rows made before it, by the names of their tables. */
  readonly needs: Readonly<Record<string, string>>
}

export const shortPath = (path: string) => path.replace('/api/v1', '')

/** Names that the test has by itself. */
const USED = new Set([
  'test',
  'call',
  'person',
  'owner',
  'other',
  'reader',
  'create',
  'sent',
  'first',
  'second',
  'path',
  'list',
])

const variableOf = ({ one }: Parent) => (USED.has(one) ? `${one}Row` : camelCase(one))

export function parentSource(parent: Parent, _at: number, parents: readonly Parent[]): string {
  const needs = Object.entries(parent.needs).map(([field, table]) => `${field}: ${idOf(table, parents)}`)
  const values = Object.entries(parent.values).map(([field, value]) => `${field}: ${JSON.stringify(value)}`)
  return `  const ${variableOf(parent)} = await create({ ${[...values, ...needs].join(', ')} }, '${shortPath(parent.path)}')\n`
}

function idOf(table: string, parents: readonly Parent[]): string {
  const parent = parents.find((one) => one.table === table)
  return parent ? `${variableOf(parent)}.id` : 'owner.id'
}

/** What a field that refers to something is sent; undefined for any other. */
export function sentReference(
  { name, type }: Field,
  { readers }: Listing,
  { table }: Names,
  parents: readonly Parent[],
) {
  if (type.refersTo === undefined) return undefined
  if (type.refersTo === table) return 'null' // the first row has none to refer to
  return readers === name ? 'reader.id' : idOf(type.refersTo, parents)
}
