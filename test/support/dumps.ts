import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PGlite, PGliteOptions } from '@electric-sql/pglite'
import { createPglite, overPglite } from '../../src/database/embedded/embedded.ts'
import { migrations } from '../../src/database/migrate/migrations.ts'
import { MAKE_PAPERS } from './papers.ts'

/**
 * Embedded databases to begin with: to make one takes three seconds of a core, to unpack it a third of one. So each is
 * made once, and stays in the temporary folder.
 */

/** As `initdb` leaves it, or migrated, with the tests' own table beside. */
type Kind = 'empty' | 'migrated'

/** @returns an embedded database in memory */
export async function unpacked(kind: Kind): Promise<PGlite> {
  return createPglite({ loadDataDir: await fileOf(kind) })
}

/** What PGlite is given to begin with it. */
export async function fileOf(kind: Kind): Promise<NonNullable<PGliteOptions['loadDataDir']>> {
  const { buffer } = readFileSync(await dump(kind))
  // Through a Blob of Node's, 40 MB take a third of what unpacking does.
  return { type: 'application/x-tar', arrayBuffer: () => Promise.resolve(buffer) } as Partial<Blob> as Blob
}

/** Lays it where a service that is started in `folder` looks for its own. */
export async function unpackInto(folder: string, kind: Kind): Promise<void> {
  const database = join(folder, 'data', 'database')
  mkdirSync(database, { recursive: true })
  // It warns that it takes the names, which begin with a slash, for ones below the folder.
  execFileSync('tar', ['-x', '-f', await dump(kind), '-C', database], { stdio: 'pipe' })
}

/** @returns the path of its tar file, which is there then */
export async function dump(kind: Kind): Promise<string> {
  const path = join(tmpdir(), `groundwork-test-${kind}-${fingerprints[kind]()}.tar`)
  if (!existsSync(path)) {
    const client = await makers[kind]()
    const draft = `${path}.${randomUUID()}`
    try {
      writeFileSync(draft, Buffer.from(await (await client.dumpDataDir('none')).arrayBuffer()))
      renameSync(draft, path) // others may make it as well: never half of one
    } finally {
      rmSync(draft, { force: true })
      await client.close()
    }
  }
  return path
}

const makers: Record<Kind, () => Promise<PGlite>> = {
  empty: () => createPglite(),
  async migrated() {
    const client = await unpacked('empty')
    await overPglite(client).migrate()
    await client.exec(MAKE_PAPERS)
    // Half of its files are of databases that nobody connects to.
    await client.exec('update pg_database set datistemplate = false')
    for (const unused of ['template0', 'template1']) await client.exec(`drop database ${unused}`)
    return client
  },
}

const fingerprints: Record<Kind, () => string> = {
  empty() {
    const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as PackageJson
    return devDependencies['@electric-sql/pglite']
  },
  migrated() {
    // And of how it is made, above.
    const hash = createHash('sha256').update(`${fingerprints.empty()} without templates ${MAKE_PAPERS}`)
    const files = readdirSync(migrations.migrationsFolder).filter((name) => name.endsWith('.sql'))
    // The same statements generated again are other migrations: what was applied is told by the time in the journal.
    hash.update(readFileSync(join(migrations.migrationsFolder, 'meta', '_journal.json')))
    for (const file of files.toSorted()) hash.update(readFileSync(join(migrations.migrationsFolder, file)))
    return hash.digest('hex').slice(0, 16)
  },
}

interface PackageJson {
  readonly devDependencies: Record<'@electric-sql/pglite', string>
}
