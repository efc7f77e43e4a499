import { type Test, test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { databaseFindings } from '../../src/doctor/database.ts'
import { lineOf } from '../../src/doctor/findings.ts'
import { type TemplateDatabase, expected, templateDatabase } from '../adopt/support/template.ts'
import { needsPostgres } from '../support/database.ts'
import { launch, signIn, start, temporaryFolder } from '../support/process.ts'

async function finished(
  t: Test,
  { url }: Pick<TemplateDatabase, 'url'>,
  args: string[],
  script = 'scripts/adopt.ts',
  more: Record<string, string> = {},
) {
  const env = { DATABASE_URL: url, ...more }
  const running = await launch(t, { folder: temporaryFolder(t), env, script, args })
  const listening = running.printed('Server listening').then(
    () => 'listening',
    () => running.exited,
  )
  return { code: await Promise.race([running.exited, listening]), text: running.output() }
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
    const waiting = await finished(t, database, [], 'server.ts', { MIGRATE_ON_START: 'false' })
    t.match(waiting, { code: 1, text: command })
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

void test(
  'the doctor says until when tokens of the template are honoured, and then that the key can go',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t)
    await database.adopt()
    const config = readConfig({
      DATABASE_URL: database.url,
      SECRET_KEY: 'only for tests, and long enough for that',
      ADOPTED_SECRET_KEY: expected.secret_key,
    })
    const doctor = async () => {
      const lines: string[] = []
      for await (const finding of databaseFindings(config, [])) lines.push(lineOf(finding))
      return lines.join('\n')
    }
    t.match(await doctor(), /^✓ adoption +tokens of the template are honoured for 19 users, until 20/m)
    await database.sql`update sessions set expires_at = now()`
    t.match(await doctor(), /^! adoption +ADOPTED_SECRET_KEY is of no use any more: unset it$/m)
  },
)
