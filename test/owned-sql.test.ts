import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'tap'
import { resources } from '../src/app.ts'

/** The lines of a file that lint refuses; each source is one line. Outside the project, where nothing is ignored. */
function refused(sources: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-lint-'))
  try {
    const [config, file] = [join(folder, 'lint.json'), join(folder, 'fixture.ts')]
    const rules = { 'owned-tables/no-raw-sql': 'error' }
    writeFileSync(config, JSON.stringify({ jsPlugins: [resolve('lint/owned-tables.mjs')], rules }))
    writeFileSync(file, sources.join('\n'))
    const lint = [process.execPath, 'node_modules/oxlint/bin/oxlint', '-c', config, '--format', 'unix', file]
    // Tap makes every process of Node one of its own, which oxlint's can't be.
    const { stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', ...lint])
    const said = stdout.toString()
    if (!said.includes('problem')) throw new Error(said + stderr.toString())
    const lines = [...said.matchAll(/:(\d+):\d+: .*no-raw-sql/g)].map(([, line]) => Number(line))
    return [...new Set(lines)].map((line) => sources[line - 1]!)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const [owned] = resources.map(({ tag }) => tag.name)
const unlessNone = { skip: owned === undefined && 'there is no resource' }
const imports = `import { ${owned}, ${owned} as things } from '../resources/${owned}.ts'`

void test('lint refuses SQL that names a table with owners, however it does', unlessNone, (t) => {
  const sources = [
    'sql`select * from ${TABLE}`',
    'sql`select ${TABLE.title} from somewhere`',
    'sql`select * from ${things}`',
    'sql`select * from TABLE`',
    'sql<{ id: string }>`delete from "TABLE" where true`',
    'sql`select * from users join public.TABLE on true`',
    'sql`insert into ONLY TABLE values (1)`',
    "sql.raw('update TABLE set title = null')",
    'sql.join([TABLE])',
    "db.execute('select * from TABLE')",
    'client.unsafe(`select * from TABLE where id = ${id}`)',
  ].map((source) => source.replace('TABLE', owned!))
  t.same(refused([imports, ...sources]), sources)
  t.end()
})

void test('lint allows other SQL, prose, and conditions on a table with owners', unlessNone, (t) => {
  const sources = [
    'sql`select * from ${users}`',
    'sql`select TABLE from users`',
    'sql`select * from TABLE_of_others`',
    "log('Deleted from TABLE of yours')",
    "condition(TABLE, 'new', (row) => sql`${row.created_at} > now()`)",
    'request.owned(TABLE).count()',
  ].map((source) => source.replace('TABLE', owned!))
  t.same(refused([imports, ...sources]), [])
  t.end()
})
