import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

/**
 * `npm run release -- minor`: version, document of the last release, changelog, commit and tag, together.
 *
 *   npm run release -- 1.2.0             or patch, minor, major: counted from the last release
 *   npm run release -- minor --dry-run   prints what it would do
 */

const PACKAGE = 'package.json'
const LOCK = 'package-lock.json'
const DOCUMENT = 'openapi.json'
const RELEASED = 'test/contract/released.json'
const CHANGELOG = 'CHANGELOG.md'

type Version = readonly [major: number, minor: number, patch: number]

const read = (path: string) => readFileSync(path, 'utf8')
const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()

function release(): void {
  const { values, positionals } = parseArgs({
    options: { 'dry-run': { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  const last = versionOf((JSON.parse(read(RELEASED)) as { info: { version: string } }).info.version)
  const current = versionOf((JSON.parse(read(PACKAGE)) as { version: string }).version)
  const next = nextVersion(positionals, last)
  if (compare(next, last) <= 0) throw new Error(`${textOf(next)} is not higher than release ${textOf(last)}`)
  // package.json names the next version as soon as openapi.json changes: what breaks clients may need a higher one.
  if (compare(next, current) < 0)
    throw new Error(`${textOf(next)} is lower than ${textOf(current)} in ${PACKAGE}`)
  if (git('status', '--porcelain') !== '') throw new Error('there are changes that are not committed')
  const tag = `v${textOf(next)}`
  if (git('tag', '--list', tag) !== '') throw new Error(`the tag ${tag} exists`)

  const document = withVersion(read(DOCUMENT), current, next, 1)
  const { changelog, section } = withRelease(read(CHANGELOG), textOf(next))
  const files = {
    [PACKAGE]: withVersion(read(PACKAGE), current, next, 1),
    // Its own, and that of its first package.
    [LOCK]: withVersion(read(LOCK), current, next, 2),
    [DOCUMENT]: document,
    [RELEASED]: document,
    [CHANGELOG]: changelog,
  }
  const changed = Object.entries(files).filter(([path, text]) => text !== read(path))
  const message = `Release ${textOf(next)}`
  console.log(`${message} (after ${textOf(last)}), tag ${tag}\n\n${section}\n`)
  for (const [path] of changed) console.log(`  ${path}`)
  if (values['dry-run']) return
  for (const [path, text] of changed) writeFileSync(path, text)
  git('commit', '--quiet', '--message', message, '--', ...changed.map(([path]) => path))
  git('tag', '--annotate', tag, '--message', message)
  console.log(`\nTo publish it: git push --follow-tags`)
}

function nextVersion(positionals: readonly string[], [major, minor, patch]: Version): Version {
  const [wanted = ''] = positionals
  if (positionals.length !== 1) throw new Error('name a version, or patch, minor or major')
  if (wanted === 'major') return [major + 1, 0, 0]
  if (wanted === 'minor') return [major, minor + 1, 0]
  if (wanted === 'patch') return [major, minor, patch + 1]
  return versionOf(wanted)
}

/** Versions of releases alone, without those before a release (Semantic Versioning, 2). */
function versionOf(text: string): Version {
  if (!/^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}$/.test(text)) throw new Error(`${text} is no version (1.2.3)`)
  const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
  return [major, minor, patch]
}

const textOf = (version: Version) => version.join('.')

/** Negative where `one` is lower. */
const compare = (one: Version, other: Version) =>
  one.map((part, index) => part - other[index]!).find((difference) => difference !== 0) ?? 0

/** The file with its first `count` versions replaced, and nothing else, so that its format stays. */
function withVersion(text: string, current: Version, next: Version, count: number): string {
  const parts = text.split(`"version": "${textOf(current)}"`)
  const [start = '', ...rest] = parts
  if (rest.length < count)
    throw new Error(`a file does not have the version ${textOf(current)}: npm run openapi`)
  return rest.reduce(
    (before, part, index) => `${before}"version": "${textOf(index < count ? next : current)}"${part}`,
    start,
  )
}

/** The changelog, what was unreleased under its version and date, and that section alone. */
function withRelease(text: string, version: string): { changelog: string; section: string } {
  const heading = '## [Unreleased]\n'
  const [before, after] = text.split(heading)
  if (before === undefined || after === undefined) throw new Error(`${CHANGELOG} has no [Unreleased]`)
  const [unreleased = ''] = after.split(/^## /m)
  if (!/^[-*] /m.test(unreleased)) throw new Error(`[Unreleased] in ${CHANGELOG} is empty`)
  const day = new Date().toISOString().slice(0, 10)
  const title = `## [${version}] - ${day}\n`
  return {
    changelog: `${before}${heading}\n${title}${after}`,
    section: `${title}${unreleased}`.trim(),
  }
}

try {
  release()
} catch (error) {
  console.error(`Not released: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
