import { chmodSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Entries of DATA_DIR that belong to the service. */
const OWN = ['database', 'lock', 'secret']

/** Creates the folder if needed, and makes it and the service's files accessible to their owner only. */
export function keepPrivate(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  // A shared folder such as /tmp is left alone.
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
    // A mounted folder may belong to another user, and some file systems have no modes.
    if (!/^(EPERM|ENOTSUP|EROFS)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
