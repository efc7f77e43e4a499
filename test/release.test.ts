import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Test, test } from 'tap'
import { temporaryFolder } from './support/process.ts'

const DOCUMENT = 'openapi.json'
const RELEASED = 'test/contract/released.json'
const LINE = '- Users have nicknames.'

/** A repository with the files of a release, whose last one was 0.1.0. */
function repository(t: Test, { version = '0.2.0', unreleased = LINE } = {}) {
  const folder = temporaryFolder(t)
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text)
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim()
  mkdirSync(join(folder, 'test/contract'), { recursive: true })
  write('package.json', `{\n  "version": "${version}",\n  "dependencies": {}\n}\n`)
  write(
    'package-lock.json',
    `{ "version": "${version}", "packages": { "": { "version": "${version}" }, "node_modules/a": { "version": "${version}" } } }`,
  )
  write(DOCUMENT, `{ "info": { "version": "${version}" }, "paths": { "/a": {} } }`)
  write(RELEASED, `{ "info": { "version": "0.1.0" }, "paths": {} }`)
  write(
    'CHANGELOG.md',
    `# Changelog\n\n## [Unreleased]\n\n${unreleased}\n\n## [0.1.0] - 2026-01-02\n\n- The first.\n`,
  )
  git('init', '--quiet')
  git('config', 'user.name', 'Somebody')
  git('config', 'user.email', 'somebody@example.com')
  git('add', '.')
  git('commit', '--quiet', '--message', 'Files of a release')
  return {
    git,
    write,
    read: (path: string) => readFileSync(join(folder, path), 'utf8'),
    /** Without the loaders that tap adds to each process. */
    release: (...args: string[]) =>
      spawnSync(
        process.execPath,
        ['--import', resolve('node_modules/tsx/dist/loader.mjs'), resolve('src/scripts/release.ts'), ...args],
        { cwd: folder, encoding: 'utf8', env: { PATH: process.env.PATH } },
      ),
  }
}

const versionIn = (text: string) => (JSON.parse(text) as { info: { version: string } }).info.version

void test('a release sets the version in every file, commits it and tags the commit', (t) => {
  const { git, read, release } = repository(t)
  t.match(release('0.3.0'), { status: 0, stderr: '' })
  const lock = JSON.parse(read('package-lock.json')) as {
    version: string
    packages: Record<string, { version: string }>
  }
  t.equal((JSON.parse(read('package.json')) as { version: string }).version, '0.3.0')
  t.equal(lock.version, '0.3.0')
  t.strictSame(lock.packages, { '': { version: '0.3.0' }, 'node_modules/a': { version: '0.2.0' } })
  t.equal(versionIn(read(DOCUMENT)), '0.3.0')
  t.equal(read(RELEASED), read(DOCUMENT), 'the next comparison is with this document')
  t.equal(git('status', '--porcelain'), '', 'all is committed')
  t.equal(git('log', '-1', '--format=%s'), 'Release 0.3.0')
  t.equal(git('rev-parse', 'v0.3.0^{commit}'), git('rev-parse', 'HEAD'))
  t.end()
})

void test('a release moves the unreleased changelog entries under its version', (t) => {
  const { read, release } = repository(t)
  release('minor')
  const today = new Date().toISOString().slice(0, 10)
  t.equal(
    read('CHANGELOG.md'),
    `# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - ${today}\n\n${LINE}\n\n## [0.1.0] - 2026-01-02\n\n- The first.\n`,
  )
  t.end()
})

void test('patch, minor and major are counted from the last release', (t) => {
  const next = { patch: '0.1.1', minor: '0.2.0', major: '1.0.0' }
  for (const [kind, version] of Object.entries(next)) {
    const { git, release } = repository(t, { version: '0.1.0' })
    release(kind)
    t.equal(git('tag'), `v${version}`, kind)
  }
  t.end()
})

void test('--dry-run says what a release would do, and does nothing', (t) => {
  const { git, release } = repository(t)
  const before = git('rev-parse', 'HEAD')
  const { status, stdout } = release('minor', '--dry-run')
  t.equal(status, 0)
  for (const told of ['Release 0.2.0', 'tag v0.2.0', LINE, RELEASED]) t.match(stdout, told)
  t.strictSame([git('status', '--porcelain'), git('tag'), git('rev-parse', 'HEAD')], ['', '', before])
  t.end()
})

void test('a wrong version, an empty changelog or uncommitted files are refused, without changes', (t) => {
  const refused = (message: RegExp, repo: ReturnType<typeof repository>, ...args: string[]) => {
    const before = repo.git('status', '--porcelain')
    const { status, stderr } = repo.release(...args)
    t.match(stderr, message)
    t.equal(status, 1)
    t.equal(repo.git('status', '--porcelain'), before)
    t.equal(repo.git('log', '-1', '--format=%s'), 'Files of a release')
  }
  const repo = repository(t)
  refused(/not higher than release 0\.1\.0/, repo, '0.1.0')
  refused(/not higher than release 0\.1\.0/, repo, '0.0.9')
  refused(/0\.1\.1 is lower than 0\.2\.0 in package\.json/, repo, 'patch')
  refused(/no version/, repo, '1.2')
  refused(/name a version/, repo)
  refused(/\[Unreleased\] in CHANGELOG\.md is empty/, repository(t, { unreleased: '### Added' }), 'minor')
  repo.git('tag', 'v0.2.0')
  refused(/the tag v0\.2\.0 exists/, repo, 'minor')
  repo.write('new.txt', '')
  refused(/not committed/, repo, 'major')
  t.end()
})
