import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { temporaryFolder } from './support/process.ts'
import { walkOptions } from './walk/options.ts'

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }

void test('the service builds where there is no rm, no shell and no git', async (t) => {
  const out = join(temporaryFolder(t), 'dist')
  // An empty environment, without the loaders of tap, which break compilers.
  const build = (...args: string[]) =>
    spawnSync(
      '/usr/bin/env',
      ['-i', 'PATH=', process.execPath, 'src/scripts/build.mjs', '--out', out, ...args],
      {
        encoding: 'utf8',
      },
    )
  const [, file = ''] = /^node (\S+)$/.exec(scripts.build ?? '') ?? []
  t.equal(file, 'src/scripts/build.mjs', 'npm run build is Node alone')
  t.match(build(), { status: 0, stderr: '' })
  for (const built of ['server.js', 'mail/templates.json', 'scripts/migrate.js'])
    t.ok(existsSync(join(out, built)), built)
  const told = () => JSON.parse(readFileSync(join(out, 'build.json'), 'utf8')) as unknown
  t.strictSame(told(), {}, 'nobody knows the commit')

  writeFileSync(join(out, 'of-the-last-build.js'), '')
  t.match(build('--revision', 'abc123'), { status: 0 })
  t.notOk(existsSync(join(out, 'of-the-last-build.js')), 'what an earlier build left is gone')
  t.strictSame(told(), { revision: 'abc123' })
})

void test('the commands of package.json run in the shell of any system', async (t) => {
  const programs = /^(node|npm|tsx|tsc|oxlint|prettier|drizzle-kit)$/
  for (const [name, script] of Object.entries(scripts)) {
    const bare = script.replaceAll(/"[^"]*"/g, '')
    t.notMatch(bare, /['$`;|<>*~]|&(?!&)(?<!&&)/, `${name} has nothing that only some shells know`)
    for (const command of bare.split('&&'))
      t.match(command.trim().split(' ')[0], programs, `${name} begins with a program that npm ci brings`)
  }
})

void test('test:walk uses a service of its own, or the http:// one of --base-url', async (t) => {
  t.equal(walkOptions([]).base, undefined, 'it makes its own')
  t.equal(walkOptions(['--base-url', 'http://127.0.0.1:1234']).base?.port, '1234')
  t.throws(() => walkOptions(['--base-url', 'https://example.com']), /http:\/\//)
})
