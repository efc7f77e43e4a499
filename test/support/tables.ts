import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { sql } from 'drizzle-orm'
import type { Database } from '../../src/database/connect.ts'

/** Makes tables of a test's own, and the enums that they need, as a migration would. */
export async function createTables(db: Database, schema: Record<string, unknown>): Promise<void> {
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(schema))
  for (const statement of statements) await db.execute(sql.raw(statement))
}
