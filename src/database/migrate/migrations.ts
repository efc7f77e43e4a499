import { fileURLToPath } from 'node:url'

/** The folder of migrations, found from src and from dist. */
export const migrations = { migrationsFolder: fileURLToPath(new URL('../../../migrations', import.meta.url)) }
