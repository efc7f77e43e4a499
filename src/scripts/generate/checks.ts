import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { singular } from '../../ownership/names.ts'
import { NAME, type Field } from './grammar/fields.ts'
import { types } from './grammar/types.ts'
import { type Document, takenComponent, takenNames } from './project.ts'
import type { Names } from './source/names.ts'

/** What a new resource may be called. */

/** Words of JavaScript or SQL that look like names of tables, what a declaration imports, and what tests have a table of. */
const RESERVED = new Set([
  'this',
  'is',
  'as',
  'values',
  'references',
  'optional',
  'resource',
  'papers',
  ...Object.keys(types),
])

/** @throws Error where the table and one row of it can't be told apart by name, or the name is no name */
export function checkName(table: string, given: string | undefined): void {
  if (!NAME.test(table))
    throw new Error(`"${table}" is no name: small letters, digits and _, beginning with a letter, 41 at most`)
  if (RESERVED.has(table) || table in {}) throw new Error(`${table} is a reserved word: choose another name`)
  if (given !== undefined && !NAME.test(given))
    throw new Error(`--one ${given} is no name: write it as ${table}`)
  if (given === table || (given === undefined && singular(table) === table))
    throw new Error(`${table} is no plural: name many, such as ${table}s, or say what one is called by --one`)
}

/** @throws Error where something has one of the names already, with what that is */
export function checkIsFree(names: Names, document: Document): void {
  const { table, one, file } = names
  const taken = takenNames(document).get(table)
  if (taken !== undefined) throw new Error(`${table} is ${taken} already: choose another name`)
  const component = takenComponent(document, table, one)
  if (component !== undefined)
    throw new Error(`openapi.json has a ${component} already: choose another name, or --one`)
  const there = [file, file.replace(/\.ts$/, ''), names.test].find((path) => existsSync(path))
  if (there !== undefined) throw new Error(`${there} exists already: choose another name, or remove it`)
  if (!existsSync(dirname(file))) throw new Error('run it in the folder of the project')
}

/** @throws Error where two fields have one name */
export function checkFieldNames(fields: readonly Field[]): void {
  const names = fields.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) < at)
  if (twice !== undefined) throw new Error(`${twice} is declared twice: leave one out`)
}
