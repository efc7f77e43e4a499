import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'tap'

interface Journal {
  entries: { idx: number; when: number; tag: string }[]
}

/** The migrations that would never be run where the one before was: Drizzle runs what is later than the last one. */
const skipped = ({ entries }: Journal) =>
  entries
    .filter(({ idx, when }, index) => idx !== index || when <= (entries[index - 1]?.when ?? 0))
    .map(({ tag }) => tag)

void test('fault 36: migrations are in order, or some would never run', async (t) => {
  const journal = JSON.parse(readFileSync('migrations/meta/_journal.json', 'utf8')) as Journal
  const { entries } = journal
  t.same(skipped(journal), [], 'mend it by generating the later one anew')
  const [first] = entries
  const sortedIn = { idx: 1, when: first!.when - 1, tag: '0001_merged_late' }
  t.same(skipped({ entries: [first!, sortedIn] }), ['0001_merged_late'], 'one that is not is found')
  const files = readdirSync('migrations').filter((name) => name.endsWith('.sql'))
  t.same(
    entries.map(({ tag }) => `${tag}.sql`),
    files.toSorted(),
    'each has its file, and each file is run',
  )
})

void test('the migrations lead to the tables of the source', async (t) => {
  const copy = join(t.testdir(), 'migrations')
  cpSync('migrations', copy, { recursive: true })
  const before = readdirSync(copy, { recursive: true })
  const said = execFileSync(
    process.execPath,
    [
      'node_modules/drizzle-kit/bin.cjs',
      'generate',
      '--dialect=postgresql',
      '--schema=./src/database/tables.ts',
      `--out=${relative('.', copy)}`, // it takes no absolute one
    ],
    // What it runs is its own transpilation, which would blur the coverage of the source.
    { env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0', NODE_V8_COVERAGE: '' }, stdio: 'pipe' },
  ).toString()
  t.match(said, 'No schema changes', 'mend it with: npm run db:generate')
  t.same(readdirSync(copy, { recursive: true }), before)
})

void test('no migration waits without end for a lock that others queue behind', (t) => {
  // The first ones made the tables that they alter.
  const files = readdirSync('migrations').filter((file) => file.endsWith('.sql') && file > '0003')
  const texts = files.map((file) => ({ file, text: readFileSync(join('migrations', file), 'utf8') }))
  const altering = texts.filter(({ text }) => locked(text).some((table) => !created(text).includes(table)))
  t.ok(altering.length > 0)
  for (const { file, text } of altering)
    t.match(text.split(/^(?:ALTER|LOCK) TABLE/m)[0], /^SET LOCAL lock_timeout/m, file)
  t.end()
})

const namesIn = (text: string, statement: RegExp) => [...text.matchAll(statement)].map(([, name]) => name)
const locked = (text: string) => namesIn(text, /^(?:ALTER|LOCK) TABLE "(\w+)"/gm)
const created = (text: string) => namesIn(text, /^CREATE TABLE (?:IF NOT EXISTS )?"(\w+)"/gm)
