import { readFileSync } from 'node:fs'
import { is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import postgres, { type Sql } from 'postgres'
import type { Test } from 'tap'
import { type AdoptionOptions, adopt } from '../../../src/adopt/adopt.ts'
import { type Dependencies, resources } from '../../../src/app.ts'
import { connectPostgres } from '../../../src/database/postgres.ts'
import * as tables from '../../../src/database/tables.ts'
import { TIMEOUT_MS, createDatabase, dropDatabase, pooled } from '../../support/database.ts'
import { createPapers } from '../../support/papers.ts'
import { startService } from '../../support/service.ts'

const read = (name: string) => readFileSync(new URL(`../template/${name}`, import.meta.url), 'utf8')

/** A database as the FastAPI template leaves it (template/), in the PostgreSQL under test. */
export interface TemplateDatabase {
  readonly url: string
  readonly sql: Sql
  /** Adopts it. @returns the lines of the report */
  adopt(options?: Partial<AdoptionOptions>): Promise<string[]>
  rows<Row extends object>(text: string): Promise<Row[]>
}

export interface Expected {
  readonly secret_key: string
  readonly users: readonly ExpectedUser[]
  readonly items: readonly { id: string; title: string; owner_id: string; created_at: string | null }[]
}

export interface ExpectedUser {
  readonly what: string
  readonly id: string
  readonly email: string
  readonly password: string
  readonly is_active: boolean
  readonly created_at: string
}

export const expected = JSON.parse(read('expected.json')) as Expected
/** What the template's ORM sends, with its names of parameters. */
export const ormStatements = read('statements.sql')
  .split('\n')
  .filter((line) => line.trim() !== '')
export const SCHEMA = read('schema.sql')
export const ROWS = read('rows.sql')

/** Two of the rows have addresses that differ by case alone. */
const AS_TOLD = { dryRun: false, rename: true, bridge: false, bridgeOff: false, tokenDays: 8 }

export const ownTables = [...Object.values(tables), ...resources.map(({ table }) => table)].filter((table) =>
  is(table, PgTable),
)

/** @param more SQL that follows, as people's own migrations and rows do */
export async function templateDatabase(
  t: Test,
  more = '',
  server = process.env.TEST_DATABASE_URL!,
): Promise<TemplateDatabase> {
  const url = await createDatabase(server)
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  t.teardown(async () => {
    await sql.end({ timeout: 1 })
    await dropDatabase(server, url)
  })
  await sql.unsafe(SCHEMA + ROWS + more)
  return {
    url,
    sql,
    async adopt(options = {}) {
      const lines: string[] = []
      await adopt(url, ownTables, { ...AS_TOLD, ...options }, (line) => lines.push(line))
      return lines
    },
    rows: async <Row extends object>(text: string) => [...(await sql.unsafe<Row[]>(text))],
  }
}

/** The service on an adopted database; its superuser is the template's. */
export async function serviceOn(
  t: Test,
  { url }: TemplateDatabase,
  env: Record<string, string> = {},
  dependencies: Dependencies = {},
) {
  const connection = connectPostgres({
    url: pooled(url),
    migrationUrl: url,
    poolSize: 4,
    timeoutMs: TIMEOUT_MS,
  })
  await createPapers(connection.db)
  return startService(t, env, { ...dependencies, connection })
}
