import postgres, { type Sql } from 'postgres'
import type { Test } from 'tap'
import type { Connection } from '../../src/database/connect.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase, dropDatabase, pooled } from './database.ts'
import { createPapers } from './papers.ts'

/** A database of its own, with the timeouts of production, and a way past the service to fill it. */
export interface Volume {
  readonly url: string
  readonly connection: Connection
  /** Knows no timeouts, and no triggers either: what it writes refers to whatever it likes. */
  readonly fill: Sql
}

export async function volume(t: Test, poolSize = 10): Promise<Volume> {
  const server = process.env.TEST_DATABASE_URL!
  const url = await createDatabase(server)
  const connection = connectPostgres({ url: pooled(url), migrationUrl: url, poolSize })
  await connection.migrate()
  await createPapers(connection.db)
  const fill = postgres(url, {
    max: 1,
    onnotice: () => undefined,
    connection: { session_replication_role: 'replica' },
  })
  t.teardown(async () => {
    await connection.close()
    await fill.end({ timeout: 1 })
    await dropDatabase(server, url)
  })
  return { url, connection, fill }
}
