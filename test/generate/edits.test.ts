import { format } from 'prettier'
import { test } from 'tap'
import { withResource, withoutResource } from '../../src/scripts/generate/edits/app.ts'
import { withAdded, withoutEntries } from '../../src/scripts/generate/edits/changelog.ts'
import { withImport } from '../../src/scripts/generate/edits/imports.ts'
import { withSearchIndex, withoutWaits } from '../../src/scripts/generate/migrations.ts'
import { namesOf } from '../../src/scripts/generate/source/names.ts'

const formatted = (source: string, parser = 'typescript') =>
  format(source, { semi: false, singleQuote: true, printWidth: 110, parser })
const notes = namesOf('notes')

const app = (imports: string, list: string) => `import fastify from 'fastify'
import { type Resource } from './http/scopes.ts'
${imports}import {
  utilsPublic,
  utilsSuperuser,
} from './resources/utils/routes.ts'

/** Resources. */
export const resources: readonly Resource[] = [${list}]

const others = [itemRoutes]
`
const ITEMS = "import { itemRoutes } from './resources/items.ts'\n"
const NOTES = "import { noteRoutes } from './resources/notes.ts'\n"

void test('a resource is imported and listed in app.ts, and leaves nothing when it goes', async (t) => {
  const lists: [before: string, after: string][] = [
    ['itemRoutes', 'itemRoutes, noteRoutes'],
    ['', 'noteRoutes'],
    ['\n  itemRoutes, // the first\n', '\n  itemRoutes, // the first\n  noteRoutes,\n'],
  ]
  for (const [before, after] of lists) {
    const source = await formatted(app(ITEMS, before))
    const added = await formatted(withResource(source, notes))
    t.equal(added, await formatted(app(ITEMS + NOTES, after)), after)
    t.equal(await formatted(withoutResource(added, notes)), source, before)
  }
})

void test('an app.ts without the list is refused', async (t) => {
  t.throws(
    () => withResource('const resources = []\n', notes),
    /src\/app\.ts has no "export const resources = \["/,
  )
})

void test('an import is added to those of its module, or stands in the order of paths', async (t) => {
  const source = `import { b } from '../b.ts'\nimport {\n  x,\n  y,\n} from '../d.ts'\n\nconst z = 1\n`
  t.equal(withImport(source, 'a', '../b.ts'), source.replace('{ b }', '{ a, b }'))
  t.equal(withImport(source, 'b', '../b.ts'), source, 'once is enough')
  t.equal(withImport(source, 'w', '../d.ts'), source.replace(/\{\n[^}]*\}/, '{ w, x, y }'))
  t.equal(
    withImport(source, 'c', '../c.ts'),
    source.replace('import {\n', "import { c } from '../c.ts'\nimport {\n"),
  )
  t.equal(withImport(source, 'e', './a.ts'), source.replace('\n\n', "\nimport { e } from './a.ts'\n\n"))
  t.equal(withImport(source, 'p', 'package'), `import { p } from 'package'\n${source}`)
})

void test('an entry is the first of what was added to the changelog', async (t) => {
  const changelog = (unreleased: string) =>
    `# Changelog\n\n## [Unreleased]\n\n${unreleased}## [0.1.0] - 2026-01-02\n\n### Added\n\n- The first.\n`
  const cases: [before: string, after: string][] = [
    ['', '### Added\n\n- Notes.\n\n'],
    ['### Fixed\n\n- A fault.\n\n', '### Added\n\n- Notes.\n\n### Fixed\n\n- A fault.\n\n'],
    ['### Added\n\n- Tasks.\n\n', '### Added\n\n- Notes.\n- Tasks.\n\n'],
    ['### Added\n\n', '### Added\n\n- Notes.\n\n'],
  ]
  for (const [before, after] of cases) {
    const added = await formatted(withAdded(changelog(before), '- Notes.'), 'markdown')
    t.equal(added, changelog(after))
  }
})

void test('a changelog without its sections gets them', async (t) => {
  const whole = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Notes.\n'
  t.equal(await formatted(withAdded('', '- Notes.'), 'markdown'), whole)
  t.equal(await formatted(withAdded('# Changelog\n', '- Notes.'), 'markdown'), whole)
  const released = '# Changelog\n\n## [0.1.0] - 2026-01-02\n\n- The first.\n'
  t.equal(
    await formatted(withAdded(released, '- Notes.'), 'markdown'),
    `${whole}\n## [0.1.0] - 2026-01-02\n\n- The first.\n`,
  )
})

void test('an entry goes with its further lines, and a heading with its last entry', async (t) => {
  const isNotes = (line: string) => line.startsWith('- Notes')
  const released = '\n## [0.1.0] - 2026-01-02\n\n### Added\n\n- Notes.\n'
  const without = async (text: string) => formatted(withoutEntries(text + released, isNotes), 'markdown')
  const unreleased = '# Changelog\n\n## [Unreleased]\n'
  t.equal(
    await without(`${unreleased}\n### Added\n\n- Notes, which\n  are long.\n- Tasks.\n`),
    `${unreleased}\n### Added\n\n- Tasks.\n${released}`,
  )
  t.equal(await without(`${unreleased}\n### Added\n\n- Notes.\n`), unreleased + released)
  t.equal(
    await without(`${unreleased}\n### Added\n\n- Notes.\n\n### Fixed\n\n- A fault.\n`),
    `${unreleased}\n### Fixed\n\n- A fault.\n${released}`,
  )
})

void test('a migration of a table with rows waits for nobody', async (t) => {
  const made = [
    'ALTER TABLE "notes" ADD COLUMN "a" uuid;--> statement-breakpoint',
    'ALTER TABLE "notes" ADD CONSTRAINT "notes_a_fk" FOREIGN KEY ("a") REFERENCES "public"."b"("id") ON DELETE cascade;--> statement-breakpoint',
    'CREATE INDEX "notes_a_index" ON "notes" USING btree ("a");',
  ].join('\n')
  t.equal(
    withoutWaits(made),
    made.replace('cascade;', 'cascade NOT VALID;').replace('CREATE INDEX "', 'CREATE INDEX IF NOT EXISTS "'),
  )
})

void test('the search index is made of all searched columns, in the place of the one before', async (t) => {
  const made = 'ALTER TABLE "notes" ADD COLUMN "a" text;'
  const created = "SELECT create_search_index('notes', 'text', 'a');\n"
  t.equal(withSearchIndex(made, 'notes', ['text', 'a'], false), `${made}--> statement-breakpoint\n${created}`)
  t.equal(
    withSearchIndex(made, 'notes', ['text', 'a'], true),
    `${made}--> statement-breakpoint\nDROP INDEX IF EXISTS "notes_search_index";--> statement-breakpoint\n${created}`,
  )
})
