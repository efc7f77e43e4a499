import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { migrate } from 'drizzle-orm/pglite/migrator'
import type { Test } from 'tap'
import type { Connection } from '../../src/database/connect.ts'

interface Journal {
  entries: { tag: string }[]
}

/** The schema as releases up to this migration left it. */
export async function migrateUpTo(t: Test, { db }: Connection, tag: string) {
  const migrationsFolder = join(t.testdir(), 'migrations')
  cpSync('migrations', migrationsFolder, { recursive: true })
  const path = join(migrationsFolder, 'meta', '_journal.json')
  const journal = JSON.parse(readFileSync(path, 'utf8')) as Journal
  const last = journal.entries.findIndex((entry) => entry.tag === tag)
  writeFileSync(path, JSON.stringify({ ...journal, entries: journal.entries.slice(0, last + 1) }))
  // The migrators of both drivers are one and the same.
  await migrate(db as never, { migrationsFolder })
}
