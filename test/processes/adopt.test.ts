import { type Test, test } from 'tap'
import { type TemplateDatabase, expected, templateDatabase } from '../adopt/support/template.ts'
import { needsPostgres } from '../support/database.ts'
import { launch, signIn, start, temporaryFolder } from '../support/process.ts'

async function finished(
  t: Test,
  { url }: Pick<TemplateDatabase, 'url'>,
  args: string[],
  script = 'scripts/adopt.ts',
) {
  const env = { DATABASE_URL: url, LOG_LEVEL: 'warn' }
  const running = await launch(t, { folder: temporaryFolder(t), env, script, args })
  return { code: await running.exited, text: running.output() }
}

void test(
  "the template's database is not started beside, but adopted, by the command that is named",
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t)
    const command = /were not adopted: npm run adopt -- --dry-run .*node dist\/scripts\/adopt\.js/
    const served = await finished(t, database, [], 'server.ts')
    t.match(served, { code: 1, text: command })
    t.match(await finished(t, database, [], 'scripts/migrate.ts'), { code: 1, text: command })
    const waiting = await launch(t, {
      folder: temporaryFolder(t),
      env: { DATABASE_URL: database.url, MIGRATE_ON_START: 'false' },
    })
    t.equal(await waiting.exited, 1)
    t.match(waiting.output(), command)
    const examined = await finished(t, database, [], 'scripts/doctor.ts')
    t.match(examined, { code: 1, text: /^✗ adoption +the tables of a FastAPI template .*npm run adopt/m })
    t.strictSame(await database.rows(`select from pg_class where relname = 'users'`), [])

    t.match(await finished(t, database, ['--dry-run', '--rename']), {
      code: 0,
      text: /Nothing was changed\.$/m,
    })
    t.match(await finished(t, database, []), {
      code: 1,
      text: /^Nothing was adopted:\n.*differ by case alone/m,
    })
    t.match(await finished(t, database, ['--rename']), {
      code: 0,
      text: /^Adopted\. The tables were locked for \d+\.\d s\.$/m,
    })
    t.match(await finished(t, database, ['--rename']), {
      code: 0,
      text: /was adopted at .* left as they are/,
    })

    const service = await start(t, {
      folder: temporaryFolder(t),
      env: { DATABASE_URL: database.url, ADOPTED_SECRET_KEY: expected.secret_key },
    })
    t.match(service.output(), 'ADOPTED_SECRET_KEY is weak', 'it is said')
    t.match(await signIn(service), { authorization: /^Bearer / }, "the template's superuser signs in")
    t.notMatch(service.output(), 'first superuser made')
  },
)

void test(
  'unknown options, and days that are none, print how the command is used',
  needsPostgres,
  async (t) => {
    const nowhere = { url: 'postgres://127.0.0.1:1/nowhere' }
    for (const args of [
      ['--renames'],
      ['--token-days', 'x'],
      ['--token-days', '-1'],
      ['--bridge', '--bridge-off'],
    ])
      t.match(await finished(t, nowhere, args), { code: 2, text: /--token-days 8/ }, args.join(' '))
    t.match(await finished(t, nowhere, []), { code: 1, text: /The database can't be used \(ECONNREFUSED\)/ })
  },
)
