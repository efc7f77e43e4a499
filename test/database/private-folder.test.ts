import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { connectEmbedded } from '../../src/database/embedded/embedded.ts'

const modeOf = (path: string) => statSync(path).mode & 0o777

function openToOthers(folder: string): string[] {
  const below = readdirSync(folder, { recursive: true }).map(String)
  return ['', ...below].filter((name) => (modeOf(join(folder, name)) & 0o077) !== 0)
}

void test('nobody else on the machine reads the embedded database', async (t) => {
  const dataDir = join(t.testdir(), 'deep', 'data')
  readConfig({ DATA_DIR: dataDir })
  const first = await connectEmbedded(dataDir)
  t.same(openToOthers(dataDir), [], 'while it is open')
  await first.migrate()
  await first.close()
  t.same(openToOthers(dataDir), [], 'and after')

  await t.test('nor one that was made before', async (t) => {
    for (const name of ['', 'secret', 'database', 'database/PG_VERSION'])
      chmodSync(join(dataDir, name), name.includes('.') || name === '' || name === 'database' ? 0o755 : 0o666)
    writeFileSync(join(dataDir, 'database', 'made-before'), '', { mode: 0o666 })
    const again = await connectEmbedded(dataDir)
    t.same(openToOthers(dataDir), [])
    await again.close()
  })
})

void test('a folder that everybody shares stays so, and what is not the service’s is left alone', async (t) => {
  const shared = t.testdir({ theirs: 'text' })
  chmodSync(shared, 0o1777)
  chmodSync(join(shared, 'theirs'), 0o644)
  mkdirSync(join(shared, 'database'))
  const database = await connectEmbedded(shared)
  t.equal(modeOf(shared), 0o777)
  t.equal(modeOf(join(shared, 'theirs')), 0o644)
  t.equal(modeOf(join(shared, 'database')), 0o700)
  await database.close()
})
