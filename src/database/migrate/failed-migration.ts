import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { databaseMessage } from '../database-words.ts'
import { faultCode, isRefused, isUnavailable } from '../faults.ts'
import { migrations } from './migrations.ts'

/** A statement of a migration failed. All migrations are one transaction, so nothing was applied. */
export class MigrationFailed extends Error {
  override readonly name = 'MigrationFailed'
}

/** Runs `migrate`. @throws MigrationFailed, which names the migration, if one of its statements fails */
export async function namingMigrations(migrate: () => Promise<void>): Promise<void> {
  try {
    await migrate()
  } catch (error) {
    const tag = tagOf(error)
    if (tag === undefined || isUnavailable(error) || isRefused(error)) throw error
    const words = databaseMessage((error as Error).cause as Error).replaceAll(/\s+/g, ' ')
    throw new MigrationFailed(
      `Migration ${tag} failed (${faultCode(error)}), "${words}": nothing of it was kept.`,
      { cause: error },
    )
  }
}

/** Name of the migration that contains a statement. */
function tagOf(error: unknown): string | undefined {
  const { query, cause } = error as { query?: unknown; cause?: unknown }
  if (typeof query !== 'string' || !(cause instanceof Error)) return undefined
  const failed = readMigrationFiles(migrations).find(({ sql }) => sql.includes(query))
  const file = join(migrations.migrationsFolder, 'meta', '_journal.json')
  const { entries } = JSON.parse(readFileSync(file, 'utf8')) as { entries: { when: number; tag: string }[] }
  return entries.find(({ when }) => when === failed?.folderMillis)?.tag
}
