import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { type Refusal, auditEvents } from '../src/http/observe/events.ts'

const FAULTS = 'docs/faults.md'
/** Without docs/examples. */
const docs = readdirSync('docs').filter((name) => name.endsWith('.md'))
const PAGES = [
  'AGENTS.md',
  'CONTRIBUTING.md',
  'README.md',
  'SECURITY.md',
  'migrations/README.md',
  ...docs.map((name) => join('docs', name)),
]
const testFiles = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter((name) => name.endsWith('.test.ts') && !name.includes('.groups') && name !== 'test/docs.test.ts')

/** Where a page links to within the project: a file, from its top, and a heading in it. */
const linksOf = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(
    ([, path, heading]) => ({ path: path ? join(dirname(page), path) : page, heading }),
  )

/** As GitHub makes them of headings. */
const anchorsOf = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

void test('the documentation links to files that are there', (t) => {
  const broken = PAGES.flatMap((page) =>
    linksOf(page)
      .filter(({ path }) => !existsSync(path))
      .map(({ path }) => `${page}: ${path}`),
  )
  t.strictSame(broken, [])
  t.end()
})

void test('the documentation links to headings that are there', (t) => {
  const broken = PAGES.flatMap((page) =>
    linksOf(page)
      .filter(({ path, heading }) => heading !== undefined && !anchorsOf(path).includes(heading))
      .map(({ path, heading }) => `${page}: ${path}#${heading}`),
  )
  t.strictSame(broken, [])
  t.end()
})

void test('each flow in docs/architecture.md lists at most four files, which exist', (t) => {
  const sections = readFileSync('docs/architecture.md', 'utf8').split(/^## /m)
  const flows = sections.find((section) => section.startsWith('Flows')) ?? ''
  const rows = flows.split('\n').filter((line) => line.startsWith('| ') && line.includes('.ts`'))
  const filesOf = (row: string) =>
    [...row.matchAll(/`([a-z][\w/-]*\.ts)`/g)].map(([, path]) => join('src', path!))
  t.ok(rows.length > 20)
  t.strictSame(
    rows.flatMap(filesOf).filter((path) => !existsSync(path)),
    [],
  )
  t.strictSame(
    rows.filter((row) => filesOf(row).length > 4),
    [],
  )
  t.end()
})

/** Its steps create and remove files, so it names files that are absent. */
const STEPS = 'docs/resources.md'

void test('the documentation names files that are there', (t) => {
  const absent = PAGES.filter((page) => page !== STEPS).flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/`((?:src|test|docs|emails|migrations)\/[\w./-]+)`/g)]
      .filter(([, path]) => !existsSync(path!))
      .map(([, path]) => `${page}: ${path}`),
  )
  t.strictSame(absent, [])
  t.end()
})

void test('every page of docs/ is reached from README.md', (t) => {
  const reached = new Set(linksOf('README.md').map(({ path }) => path))
  const lost = docs.filter((name) => !reached.has(join('docs', name)))
  t.strictSame(lost, [])
  t.end()
})

void test('docs/operations.md links to every file of docs/examples', (t) => {
  const reached = new Set(linksOf('docs/operations.md').map(({ path }) => path))
  const lost = readdirSync('docs/examples').filter((name) => !reached.has(join('docs/examples', name)))
  t.strictSame(lost, [])
  t.end()
})

const refusals = Object.keys({
  token_refused: true,
  link_refused: true,
  access_denied: true,
  limit_reached: true,
} satisfies Record<Refusal, true>)

void test('docs/operations.md says when each security event is logged, once', (t) => {
  const sections = readFileSync('docs/operations.md', 'utf8').split(/^## /m)
  const logs = sections.find((section) => section.startsWith('Logs')) ?? ''
  const named = [...logs.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, events]) => events!.split(', '))
  t.strictSame(named.toSorted(), [...auditEvents, ...refusals].map((event) => `\`${event}\``).toSorted())
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
