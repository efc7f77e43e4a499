import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'

const FAULTS = 'docs/faults.md'
const PAGES = [
  'AGENTS.md',
  'CONTRIBUTING.md',
  'README.md',
  'SECURITY.md',
  'migrations/README.md',
  ...readdirSync('docs').map((name) => join('docs', name)),
]
const testFiles = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter((name) => name.endsWith('.test.ts') && !name.includes('.groups') && name !== 'test/docs.test.ts')

/** The files that a page links to, from the top of the project. */
const linksOf = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, path]) =>
    join(dirname(page), path!),
  )

void test('the documentation links to files that are there', (t) => {
  const broken = PAGES.flatMap((page) =>
    linksOf(page)
      .filter((path) => !existsSync(path))
      .map((path) => `${page}: ${path}`),
  )
  t.strictSame(broken, [])
  t.end()
})

void test('docs/faults.md names each fault that a test names, with that test', (t) => {
  const rows = readFileSync(FAULTS, 'utf8').split('\n')
  const listed = rows.flatMap((row) => {
    const number = /^\| (\d+) /.exec(row)?.[1]
    return [...row.matchAll(/\]\(\.\.\/(test\/[^)]+\.test\.ts)\)/g)].map(([, file]) => `${number} ${file}`)
  })
  const named = testFiles.flatMap((file) =>
    [...new Set(readFileSync(file, 'utf8').match(/(?<=fault )\d+/g))].map((number) => `${number} ${file}`),
  )
  t.strictSame(listed.toSorted(), named.toSorted())
  t.end()
})
