import { currentDocument, neededValues, resources } from '../project.ts'
import { namesOf } from './names.ts'
import type { Parent } from './test-rows.ts'

/** The rows that must be there before one that refers to these tables, in the order in which they can be made. */
export function parentsOf(tables: readonly string[], under: readonly string[] = []): Parent[] {
  const document = currentDocument()
  const all = resources()
  const found = new Map<string, Parent>()
  for (const table of tables) {
    const resource = all.find((one) => one.table === table)
    if (!resource || under.includes(table)) continue
    const { values, needed } = neededValues(document, resource)
    const tableOf = (constant: string) => all.find((one) => one.constant === constant)?.table ?? 'users'
    const needs = Object.fromEntries(needed.map(({ field, to }) => [field, tableOf(to)]))
    for (const parent of parentsOf(Object.values(needs), [...under, table])) found.set(parent.table, parent)
    const { one, path } = namesOf(table, resource.one)
    found.set(table, { table, one, path, values, needs })
  }
  return [...found.values()]
}
