import type { Resource } from '../project.ts'
import { blockAt, valueOfKey, withEntry } from './blocks.ts'

/** Edits of a declaration, also one that was changed by hand as long as its fields stand in place. */

/** The options of lists that name fields. */
export type Option = 'sort' | 'search' | 'filter'

const byHand = ({ file }: Resource, what: string) =>
  `${file} has ${what}: add the field by hand (docs/resources.md)`

/** Where the object with the fields begins. */
function fieldsIn(source: string, resource: Resource): number {
  const found = new RegExp(`\\bownedTable\\(\\s*'${resource.table}',\\s*(?=\\{)`).exec(source)
  if (!found) throw new Error(byHand(resource, `no ownedTable('${resource.table}', {`))
  return found.index + found[0].length
}

/** Where the options begin; undefined where there are none. */
function optionsIn(source: string, resource: Resource): number | undefined {
  const from = blockAt(source, fieldsIn(source, resource)).close + 1
  const [between] = /^\s*,?\s*/.exec(source.slice(from))!
  const at = from + between.length
  if (source[at] === ')') return undefined
  if (source[at] !== '{') throw new Error(byHand(resource, 'no { … } behind the fields'))
  return at
}

/** The names of its fields. */
export function fieldNames(source: string, resource: Resource): string[] {
  const { shallow } = blockAt(source, fieldsIn(source, resource))
  return [...shallow.matchAll(/\b(\w+)\s*:/g)].map(([, name = '']) => name)
}

/** The fields that an option names. */
export function namesInOption(source: string, resource: Resource, option: Option): string[] {
  const list = listOf(source, resource, option)
  if (list === undefined) return []
  const { open, close } = blockAt(source, list)
  return [...source.slice(open, close).matchAll(/'(\w+)'/g)].map(([, name = '']) => name)
}

export const withField = (source: string, resource: Resource, field: string) =>
  withEntry(source, fieldsIn(source, resource), field)

/** The declaration with a field in one of the lists, which is made where it is missing. */
export function withOption(source: string, resource: Resource, option: Option, field: string): string {
  const options = optionsIn(source, resource)
  if (options === undefined) {
    const { close } = blockAt(source, fieldsIn(source, resource))
    return `${source.slice(0, close + 1)}, { ${option}: ['${field}'] }${source.slice(close + 1)}`
  }
  const list = listOf(source, resource, option)
  return list === undefined
    ? withEntry(source, options, `${option}: ['${field}']`)
    : withEntry(source, list, `'${field}'`)
}

function listOf(source: string, resource: Resource, option: Option): number | undefined {
  const options = optionsIn(source, resource)
  const list = options === undefined ? undefined : valueOfKey(source, options, option)
  if (list !== undefined && source[list] !== '[')
    throw new Error(byHand(resource, `no list as its ${option}`))
  return list
}
