import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Why FRONTEND_DIR can't be served; undefined where it can. */
export function frontendDirFault(folder: string): string | undefined {
  try {
    if (!statSync(folder).isDirectory()) return 'must be a folder; it is a file'
  } catch {
    return 'there is no such folder, or it can not be read; build the frontend first, or leave it out'
  }
  try {
    accessSync(join(folder, 'index.html'), constants.R_OK)
    return realpathSync(join(folder, 'index.html')).startsWith(realpathSync(folder))
      ? undefined
      : 'its index.html is a link that leads out of it; copy the file'
  } catch {
    return 'has no index.html that can be read; name the folder that the build of the frontend writes, such as dist'
  }
}
