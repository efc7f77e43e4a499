import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'tap'

interface Journal {
  entries: { idx: number; when: number; tag: string }[]
}

/** Migrations that Drizzle would skip: it runs only those that are later than the last one it ran. */
const skipped = ({ entries }: Journal) =>
  entries
    .filter(({ idx, when }, index) => idx !== index || when <= (entries[index - 1]?.when ?? 0))
    .map(({ tag }) => tag)

void test('fault 36: migrations are in order of time, so that none is skipped', async (t) => {
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

void test('the migrations create the declared tables', async (t) => {
  const copy = join(t.testdir(), 'migrations')
  cpSync('migrations', copy, { recursive: true })
  const before = readdirSync(copy, { recursive: true })
  const said = execFileSync(
    process.execPath,
    [
      'node_modules/drizzle-kit/bin.cjs',
      'generate',
      '--dialect=postgresql',
      '--schema=./src/{database/tables,resources/*}.ts', // of several, it takes the last
      `--out=${relative('.', copy)}`, // drizzle-kit takes no absolute path
    ],
    // It transpiles the source itself, which would distort the coverage.
    { env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0', NODE_V8_COVERAGE: '' }, stdio: 'pipe' },
  ).toString()
  t.match(said, 'No schema changes', 'mend it with: npm run db:generate')
  t.same(readdirSync(copy, { recursive: true }), before)
})

void test('a migration that alters or locks a table sets lock_timeout first', (t) => {
  // Earlier ones create the tables that they alter.
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
