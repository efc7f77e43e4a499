import { chmodSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Of what lies in DATA_DIR; whatever else is in that folder is not the service's. */
const OWN = ['database', 'lock', 'secret']

/** Makes the folder where it is not there, and lets nobody but its owner into it, nor at what the service keeps there. */
export function keepPrivate(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  // One that everybody shares, as /tmp, stays so.
  if ((lstatSync(dataDir).mode & 0o1000) === 0) keepToOwner(dataDir)
  for (const name of OWN) keepAllToOwner(join(dataDir, name))
}

function keepAllToOwner(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined || found.isSymbolicLink()) return
  keepToOwner(path, found.mode)
  if (found.isDirectory()) for (const name of readdirSync(path)) keepAllToOwner(join(path, name))
}

function keepToOwner(path: string, mode = lstatSync(path).mode): void {
  const own = mode & 0o700
  if ((mode & 0o777) === own) return
  try {
    chmodSync(path, own)
  } catch (error) {
    // A folder that was mounted for us may be another's, and some file systems know no modes.
    if (!/^(EPERM|ENOTSUP|EROFS)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
