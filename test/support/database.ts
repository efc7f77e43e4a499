import { randomUUID } from 'node:crypto'
import type { PGlite } from '@electric-sql/pglite'
import postgres from 'postgres'
import type { Connection } from '../../src/database/connect.ts'
import { overPglite } from '../../src/database/embedded/embedded.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { unpacked } from './dumps.ts'
import { createPapers } from './papers.ts'

/**
 * A database of its own for each test file or service, migrated, with papers, and empty: embedded by default, and in the PostgreSQL
 * of TEST_DATABASE_URL where that is set (`npm run test:postgres` sets it).
 */
export function freshDatabase(): Promise<Connection> {
  const server = process.env.TEST_DATABASE_URL
  return server === undefined ? embeddedInTurn() : inServer(server)
}

/** One that answers nobody any more once it is closed. */
export async function databaseThatGoes(): Promise<Connection> {
  return onPostgres ? freshDatabase() : overPglite(await unpacked('migrated'))
}

/** A machine that is busy with other tests is not a database that is away. */
export const TIMEOUT_MS = 8_000

/** Four connections of it are for long statements: one is held by a test, two wait, one looks. */
export const POOL_SIZE = 16

/** Whether the tests run on a real PostgreSQL; races and faults can't be shown on the embedded database. */
export const onPostgres = process.env.TEST_DATABASE_URL !== undefined

/** RACE_SHARE of the rounds of a race; `few` on the embedded database, where one request runs at a time. */
export const rounds = (many: number, few = many) =>
  onPostgres ? Math.ceil(many * Number(process.env.RACE_SHARE ?? 1)) : few

/** For tests of those: they are skipped on the embedded database. */
export const needsPostgres = { skip: !onPostgres && 'needs PostgreSQL: npm run test:postgres' }

/** Those that others of this process are done with, emptied. */
const emptied: PGlite[] = []

/** A new one costs half a second of a core, so one that is closed is emptied, and used for the next. */
async function embeddedInTurn(): Promise<Connection> {
  const client = emptied.pop() ?? (await untilTheLastTest())
  const shape = await shapeOf(client)
  const connection = overPglite(client)
  return {
    ...connection,
    async close() {
      if ((await shapeOf(client)) !== shape) return connection.close()
      await emptyTables(client)
      await client.exec('discard all')
      emptied.push(client)
    },
  }
}

/** An open one has timers, which would keep the process alive for another 10 s. */
async function untilTheLastTest(): Promise<PGlite> {
  // Not above: benchmarks, which are no tests, import this file as well.
  const [{ t: all }, client] = await Promise.all([import('tap'), unpacked('migrated')])
  all.teardown(() => (client.closed ? undefined : client.close()))
  return client
}

/** What it consists of, by the newest of each kind of thing: a database that a test made something in is not used again. */
async function shapeOf(client: PGlite): Promise<string> {
  const { rows } = await client.query(SHAPE)
  return JSON.stringify(rows)
}

const FIRST_OWN_OID = 16_384
const SHAPE = [
  ...['class', 'constraint', 'trigger', 'proc'].map((kind) => `pg_${kind} where oid >= ${FIRST_OWN_OID}`),
  `pg_attribute where attrelid >= ${FIRST_OWN_OID}`,
  'pg_authid',
]
  .map((things) => `select count(*)::int, max(xmin::text::bigint)::text as newest from ${things}`)
  .join(' union all ')

/** Emptied row by row: to truncate them takes twenty times as long. */
async function emptyTables(client: PGlite): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  )
  await client.exec(rows.map(({ name }) => `delete from ${name}`).join(';'))
}

async function inServer(server: string): Promise<Connection> {
  const connection = await emptyInServer(server)
  await connection.migrate()
  await createPapers(connection.db)
  return connection
}

/** A database of its own without any table, for what happens before and while it is migrated. */
export async function emptyDatabase(): Promise<Connection> {
  const server = process.env.TEST_DATABASE_URL
  return server === undefined ? overPglite(await unpacked('empty')) : emptyInServer(server)
}

async function emptyInServer(server: string): Promise<Connection> {
  const url = await createDatabase(server)
  const connection = connectPostgres({
    url: pooled(url),
    migrationUrl: url,
    poolSize: POOL_SIZE,
    timeoutMs: TIMEOUT_MS,
    // Side by side races are harder; through a pooler they share connections, as in production.
    depth: process.env.TEST_POOLER_URL === undefined ? 1 : undefined,
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
