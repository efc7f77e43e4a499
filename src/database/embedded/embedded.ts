import { join, resolve } from 'node:path'
import type { PGlite, PGliteOptions, Transaction } from '@electric-sql/pglite'
import { drizzle } from 'drizzle-orm/pglite'
import { migrate } from 'drizzle-orm/pglite/migrator'
import type { Connection, Database } from '../connect.ts'
import { namingMigrations } from '../migrate/failed-migration.ts'
import { lockFolder } from './folder-lock.ts'
import { type Statement, failed, readTime } from '../statement.ts'
import { migrations } from '../migrate/migrations.ts'
import { keepPrivate } from './private-folder.ts'

/**
 * The embedded database (PGlite, PostgreSQL compiled to WebAssembly) in `dataDir`/database. It has one connection and runs
 * on the event loop: for development.
 *
 * @throws DataFolderInUse when another process has the folder
 */
export async function connectEmbedded(dataDir: string): Promise<Connection> {
  keepPrivate(dataDir)
  const unlock = lockFolder(dataDir)
  try {
    const client = await createPglite({ dataDir: join(dataDir, 'database') })
    keepPrivate(dataDir) // PGlite makes files for everybody, whatever the umask is
    return overPglite(client, () => {
      keepPrivate(dataDir)
      unlock()
    })
  } catch (error) {
    unlock()
    if ((error as NodeJS.ErrnoException).code !== undefined) throw error
    throw new DataFolderUnusable(dataDir, error)
  }
}

/** PGlite's own errors of a broken folder don't say what to do. */
class DataFolderUnusable extends Error {
  constructor(folder: string, cause: unknown) {
    const words = (cause as Error).message.split('\n', 1)[0]
    super(
      `The embedded database in ${resolve(folder, 'database')} can't be opened (${words}). ` +
        'It is broken, or of another version: restore it, or move the folder away to begin with an empty one.',
      { cause },
    )
    this.name = 'DataFolderUnusable'
  }
}

/** A PGlite with the extensions that migrations use. */
export async function createPglite(options: PGliteOptions = {}): Promise<PGlite> {
  const [{ PGlite }, { pg_trgm }] = await Promise.all([
    import('@electric-sql/pglite'),
    import('@electric-sql/pglite/contrib/pg_trgm'),
  ])
  const startParams = [...PGlite.defaultStartParams, ...SETTINGS.flatMap((setting) => ['-c', setting])]
  return PGlite.create({
    ...options,
    extensions: { pg_trgm },
    startParams,
    parsers: { [TIMESTAMPTZ]: readTime },
  })
}

const TIMESTAMPTZ = 1184

const SETTINGS = [
  // The default of 128 MB is written at each start: 150 ms and 130 MB of memory.
  'shared_buffers=16MB',
  // Its progress timer would keep the process alive for 10 s.
  'log_startup_progress_interval=0',
]

/** A connection over an open PGlite. */
export function overPglite(client: PGlite, afterClose: () => void = () => undefined): Connection {
  const db = databaseOver(client)
  return {
    db,
    migrate: () => namingMigrations(() => migrate(drizzle(client), migrations)),
    async close() {
      await client.close()
      afterClose()
    },
  }
}

function databaseOver(client: PGlite | Transaction, depth = 1): Database {
  async function run<Values extends object, Row extends object>(
    { text, bind }: Statement<Values, Row>,
    values: Values,
  ) {
    const parameters = bind(values)
    try {
      return (await client.query<Row>(text, parameters)).rows
    } catch (error) {
      throw failed(text, parameters, error)
    }
  }
  const database = drizzle(client as PGlite)
  return Object.assign(database, {
    ...(!('transaction' in client) && { isTransaction: true as const }),
    run,
    transaction: <T>(work: (transaction: Database) => Promise<T>) =>
      'transaction' in client
        ? client.transaction((transaction) => work(databaseOver(transaction)))
        : savepoint(client, depth, work),
  })
}

/** A transaction within one. */
async function savepoint<T>(
  client: Transaction,
  depth: number,
  work: (transaction: Database) => Promise<T>,
): Promise<T> {
  const name = `nested_${depth}`
  await client.exec(`savepoint ${name}`)
  try {
    const result = await work(databaseOver(client, depth + 1))
    await client.exec(`release savepoint ${name}`)
    return result
  } catch (error) {
    await client.exec(`rollback to savepoint ${name}`)
    throw error
  }
}
