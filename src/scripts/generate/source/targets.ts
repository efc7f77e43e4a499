import { basename, dirname, join } from 'node:path/posix'
import { read } from '../files.ts'
import type { Field } from '../grammar/fields.ts'
import { type Resource, resources } from '../project.ts'
import type { Targets, Target } from './declaration.ts'

/** What fields of a resource refer to. */

/**
 * @param file of the resource that has the fields
 * @throws Error where a field refers to something that is not there, or back to what refers to it
 */
export function targetsOf(fields: readonly Field[], table: string, file: string): Targets {
  const all = resources()
  const found = new Map<string, Target>()
  for (const { name, type, isOptional } of fields) {
    const to = type.refersTo
    if (to === table && !isOptional)
      throw new Error(
        `${name}: the first of ${table} has none to refer to: write ${name}:reference(${table})?`,
      )
    if (to === undefined || to === table) continue
    if (to === 'users') found.set(to, { constant: 'users', module: '../database/tables.ts' })
    else found.set(to, targetIn(all, name, to, file))
  }
  return found
}

function targetIn(all: readonly Resource[], field: string, table: string, file: string): Target {
  const target = all.find((one) => one.table === table)
  if (!target) {
    const known = [...all.map((one) => one.table), 'users'].join(', ')
    throw new Error(`${field}: there is no resource ${table}, only ${known}: generate it first`)
  }
  // Modules that import each other in a circle are refused by lint.
  if (importedBy(target.file).has(file))
    throw new Error(`${field}: ${table} refers to this resource already: declare both in one file by hand`)
  return { constant: target.constant, module: `./${basename(target.file)}` }
}

/** Files beside a module that it imports, and those that they import. */
function importedBy(file: string, found = new Set<string>()): Set<string> {
  for (const [, path = ''] of read(file).matchAll(/ from '(\.\/[\w-]+\.ts)'/g)) {
    const other = join(dirname(file), path)
    if (found.has(other)) continue
    found.add(other)
    importedBy(other, found)
  }
  return found
}
