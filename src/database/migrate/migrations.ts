import { fileURLToPath } from 'node:url'

/** What drizzle-kit generated, at the top of the project, from src and from dist alike. */
export const migrations = { migrationsFolder: fileURLToPath(new URL('../../../migrations', import.meta.url)) }
