import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { tryLock } from 'fs-native-extensions'

/** Two processes on one embedded database would lose rows, so the second one is refused. */
export class DataFolderInUse extends Error {
  constructor(folder: string, holder: string) {
    super(
      `The folder ${resolve(folder)} is in use by ${holder}. ` +
        'Stop that process, or give this one a folder of its own: DATA_DIR=another-folder',
    )
    this.name = 'DataFolderInUse'
  }
}

/**
 * Locks the folder for this process. The lock is the operating system's, so that it ends with the process, even when that
 * is killed; the file's text only says which process has it.
 *
 * @returns a function that lets go
 * @throws DataFolderInUse naming the process that has it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock')
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  if (!tryLock(file)) {
    closeSync(file)
    throw new DataFolderInUse(folder, readFileSync(path, 'utf8').trim() || 'another process')
  }
  ftruncateSync(file)
  writeSync(file, `process ${process.pid} (started ${new Date().toISOString()})\n`, 0)
  return () => closeSync(file)
}
