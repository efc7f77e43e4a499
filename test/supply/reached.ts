import { readFileSync } from 'node:fs'

interface Package {
  readonly dev?: boolean
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, Package>
}

/** Paths of the packages that production has for the sake of this one alone, and its own: `node_modules/…`. */
export function onlyFor(path: string): string[] {
  const others = reached(path)
  return [...reached()].filter((each) => !others.has(each))
}

/** What the dependencies of the project lead to, if not by way of `without`. */
function reached(without?: string): Set<string> {
  const found = new Set<string>()
  const todo = ['']
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (path === without || found.has(path)) continue
    found.add(path)
    const { dependencies, optionalDependencies, peerDependencies } = packages[path]!
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const installed = resolved(path, name)
      if (installed !== undefined) todo.push(installed)
    }
  }
  return found
}

/** As Node looks for it: in the folder of the one that asks, and then in each above. */
function resolved(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('node_modules/') - 1, 0))) {
    const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
    if (path in packages) return path
    if (folder === '') return undefined
  }
}
