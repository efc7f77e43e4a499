import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import type { Connection } from '../../src/db/connect.ts'
import { createPglite, overPglite } from '../../src/db/embedded.ts'
import { migrations } from '../../src/db/migrations.ts'
import { connectPostgres } from '../../src/db/postgres.ts'

/**
 * A database of its own for each test file, migrated and empty: embedded by default, and in the PostgreSQL of
 * TEST_DATABASE_URL where that is set (`npm run test:postgres` sets it).
 */
export function freshDatabase(): Promise<Connection> {
  const server = process.env.TEST_DATABASE_URL
  return server === undefined ? embedded() : inServer(server)
}

/** A machine that is busy with other tests is not a database that is away. */
export const TIMEOUT_MS = 5_000

/** Whether the tests run on a real PostgreSQL; races and faults can't be shown on the embedded database. */
export const onPostgres = process.env.TEST_DATABASE_URL !== undefined

/** For tests of those: they are skipped on the embedded database. */
export const needsPostgres = { skip: !onPostgres && 'needs PostgreSQL: npm run test:postgres' }

/** Migrating takes a second, unpacking a dump of what it leads to a third of that. */
async function embedded(): Promise<Connection> {
  const dump = join(tmpdir(), `groundwork-test-${migrationsHash()}.tar`)
  if (existsSync(dump)) return overPglite(await createPglite({ loadDataDir: new Blob([readFileSync(dump)]) }))
  const client = await createPglite()
  const connection = overPglite(client)
  await connection.migrate()
  const draft = `${dump}.${randomUUID()}`
  writeFileSync(draft, Buffer.from(await (await client.dumpDataDir('none')).arrayBuffer()))
  renameSync(draft, dump)
  return connection
}

function migrationsHash(): string {
  const hash = createHash('sha256')
  const files = readdirSync(migrations.migrationsFolder).filter((name) => name.endsWith('.sql'))
  for (const file of files.toSorted()) hash.update(readFileSync(join(migrations.migrationsFolder, file)))
  return hash.digest('hex').slice(0, 16)
}

async function inServer(server: string): Promise<Connection> {
  const connection = await emptyInServer(server)
  await connection.migrate()
  return connection
}

/** A database of its own without any table, for what happens before and while it is migrated. */
export async function emptyDatabase(): Promise<Connection> {
  const server = process.env.TEST_DATABASE_URL
  return server === undefined ? overPglite(await createPglite()) : emptyInServer(server)
}

async function emptyInServer(server: string): Promise<Connection> {
  const url = await createDatabase(server)
  const connection = connectPostgres({
    url: pooled(url),
    migrationUrl: url,
    poolSize: 10,
    timeoutMs: TIMEOUT_MS,
  })
  return {
    ...connection,
    async close() {
      await connection.close()
      await dropDatabase(server, url)
    },
  }
}

/** @returns the URL of a new, empty database in the server of `server` */
export async function createDatabase(server: string): Promise<string> {
  const url = new URL(server)
  url.pathname = `/test_${randomUUID().replaceAll('-', '')}`
  await inMaintenance(server, `create database ${url.pathname.slice(1)}`)
  return url.href
}

/** The way to a database that the service takes: by the pooler of TEST_POOLER_URL where that is set (`npm run test:pgbouncer`). */
export function pooled(url: string): string {
  const pooler = process.env.TEST_POOLER_URL
  return pooler === undefined ? url : Object.assign(new URL(url), { host: new URL(pooler).host }).href
}

export const dropDatabase = (server: string, url: string) =>
  inMaintenance(server, `drop database if exists ${new URL(url).pathname.slice(1)} with (force)`)

async function inMaintenance(server: string, statement: string): Promise<void> {
  const client = postgres(server, { max: 1, onnotice: () => undefined })
  await client.unsafe(statement)
  await client.end()
}
