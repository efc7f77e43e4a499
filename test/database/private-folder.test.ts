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

void test('files of the embedded database are readable by their owner only', async (t) => {
  const dataDir = join(t.testdir(), 'deep', 'data')
  readConfig({ DATA_DIR: dataDir })
  const first = await connectEmbedded(dataDir)
  t.same(openToOthers(dataDir), [], 'while it is open')
  await first.migrate()
  await first.close()
  t.same(openToOthers(dataDir), [], 'and after')

  await t.test('files of an earlier embedded database become private when it is opened', async (t) => {
    for (const name of ['', 'secret', 'database', 'database/PG_VERSION'])
      chmodSync(join(dataDir, name), name.includes('.') || name === '' || name === 'database' ? 0o755 : 0o666)
    writeFileSync(join(dataDir, 'database', 'made-before'), '', { mode: 0o666 })
    const again = await connectEmbedded(dataDir)
    t.same(openToOthers(dataDir), [])
    await again.close()
  })
})

void test('in a shared folder only database/ is made private; other files keep their mode', async (t) => {
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
