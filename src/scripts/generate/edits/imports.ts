/** Edits of the imports of a module: one line each, or names on lines of their own; sorted by path. */

/** The source with `name` imported from `path`. */
export function withImport(source: string, name: string, path: string): string {
  const found = importFrom(path).exec(source)
  if (!found) return withNewImport(source, name, path)
  const names = (found[1] ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)
  if (names.includes(name)) return source
  const all = [...names, name].toSorted((one, other) => (bare(one) < bare(other) ? -1 : 1))
  return source.replace(found[0], () => `import { ${all.join(', ')} } from '${path}'`)
}

/** The source without the import of `path`. */
export const withoutImport = (source: string, path: string) =>
  source.replace(new RegExp(`${importFrom(path).source}\\n`, 'm'), '')

const importFrom = (path: string) =>
  new RegExp(`^import \\{([^}]*)\\} from '${path.replaceAll(/[./]/g, String.raw`\$&`)}'$`, 'm')

const bare = (name: string) => name.replace(/^type /, '')

function withNewImport(source: string, name: string, path: string): string {
  const lines = source.split('\n')
  const place = placeOf(path)
  // The last line of each import says where it is from.
  const before = lines.findLastIndex((line) => {
    const other = /^(?:import|\}) /.test(line) ? line.split("'").at(-2) : undefined
    return other !== undefined && placeOf(other) < place
  })
  lines.splice(before + 1, 0, `import { ${name} } from '${path}'`)
  return lines.join('\n')
}

/** Packages come first, then what is further up. */
const placeOf = (path: string) =>
  `${path.startsWith('../') ? 1 : path.startsWith('./') ? 2 : 0} ${path.toLowerCase()}`
