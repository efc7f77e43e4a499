import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PGlite, PGliteOptions } from '@electric-sql/pglite'
import { drizzle } from 'drizzle-orm/pglite'
import { migrate } from 'drizzle-orm/pglite/migrator'
import type { Connection } from './connect.ts'
import { lockFolder } from './folder-lock.ts'
import { migrations } from './migrations.ts'

/**
 * The embedded database (PGlite, PostgreSQL compiled to WebAssembly) in a folder of its own below `dataDir`.
 * It has one connection and works on the event loop: for development and trying things out.
 *
 * @throws DataFolderInUse when another process has the folder
 */
export async function connectEmbedded(dataDir: string): Promise<Connection> {
  mkdirSync(dataDir, { recursive: true })
  const unlock = lockFolder(dataDir)
  try {
    return overPglite(await createPglite({ dataDir: join(dataDir, 'database') }), unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

/** A PGlite with the extensions that migrations make. */
export async function createPglite(options: PGliteOptions = {}): Promise<PGlite> {
  const [{ PGlite }, { pg_trgm }] = await Promise.all([
    import('@electric-sql/pglite'),
    import('@electric-sql/pglite/contrib/pg_trgm'),
  ])
  return PGlite.create({ ...options, extensions: { pg_trgm } })
}

/** A connection over a PGlite that is open already. */
export function overPglite(client: PGlite, afterClose: () => void = () => undefined): Connection {
  const db = drizzle(client)
  return {
    db,
    migrate: () => migrate(db, migrations),
    async close() {
      await client.close()
      afterClose()
    },
  }
}
