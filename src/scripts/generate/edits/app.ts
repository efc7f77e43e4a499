import { APP } from '../files.ts'
import type { Names } from '../source/names.ts'
import { blockAt, withEntry } from './blocks.ts'
import { withImport, withoutImport } from './imports.ts'

/** Edits of src/app.ts, which has a list of all resources. */

const LIST = /^export const resources\b.*= \[/m

/** app.ts with the routes of one more resource. */
export const withResource = (app: string, { routes, module }: Names): string =>
  withImport(withEntry(app, listIn(app), routes), routes, module)

/** app.ts without them. */
export function withoutResource(app: string, { routes, module }: Names): string {
  const { open, close } = blockAt(app, listIn(app))
  const entry = new RegExp(`\\b${routes}\\b\\s*,?\\s*`)
  const others = app.slice(open, close).replace(entry, '')
  return withoutImport(app.slice(0, open) + others + app.slice(close), module)
}

function listIn(app: string): number {
  const found = LIST.exec(app)
  if (!found) throw new Error(`${APP} has no "export const resources = [": resources are listed there`)
  return found.index + found[0].length - 1
}
