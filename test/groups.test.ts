import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { groupOf } from './support/groups.ts'

const BROKEN = {
  'missing.test.ts': "import { nothing } from './not-there.ts'\nnothing()\n",
  'syntax.test.ts': 'const = 1\n',
  'throws.test.ts': "throw new Error('thrown while it loads')\n",
}
const good = (name: string) =>
  `import { test } from 'tap'\nvoid test('${name} is run', async (t) => void t.pass('${name} was run'))\n`

void test('a test file that does not load reports why, and the other files still run', async (t) => {
  mkdirSync('test/.groups', { recursive: true })
  const folder = mkdtempSync('test/.groups/loading-')
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const texts = { 'first.test.ts': good('first'), ...BROKEN, 'last.test.ts': good('last') }
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
  const group = join(folder, 'group.test.mjs')
  writeFileSync(
    group,
    groupOf(
      Object.keys(texts).map((name) => join(folder, name)),
      folder,
    ),
  )

  const { stdout, status } = spawnSync(process.execPath, [...process.execArgv, group], {
    encoding: 'utf8',
    env: { ...process.env, TAP: '1', TEST_PROGRESS: undefined },
  })
  t.not(status, 0)
  for (const name of ['first', 'last']) t.match(stdout, ` ok 1 - ${name} was run`)
  for (const name of Object.keys(BROKEN)) t.match(stdout, new RegExp(`not ok \\d+ - .*${name} loads`))
  t.match(stdout, /Cannot find module .*not-there\.ts/)
  t.match(stdout, /thrown while it loads/)
  t.match(stdout, /SyntaxError|Unexpected|Expected/)
})
