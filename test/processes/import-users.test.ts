import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { PASSWORD, hashes } from '../support/other-hashes.ts'
import { databaseEnv, folderWith, launch, start } from '../support/process.ts'

const env = { SECRET_KEY: 'only for tests, and long enough for that' }
const line = (email: string, more: object = { hashed_password: hashes.scrypt }) =>
  `${JSON.stringify({ email, ...more })}\n`

async function runImport(t: Test, folder: string, more: Record<string, string>, args: string[]) {
  const running = await launch(t, {
    folder,
    env: { ...env, ...more },
    script: 'scripts/import-users.ts',
    args,
  })
  const code = await running.exited
  return { code, output: running.output() }
}

void test('npm run import-users says what it did, and the users sign in', async (t) => {
  const [folder, database] = [await folderWith(t, 'empty'), await databaseEnv(t)]
  const file = join(folder, 'users.ndjson')
  writeFileSync(file, line('ada@example.com') + line('bob@example.com', {}))

  const refused = await runImport(t, folder, database, [file])
  t.match(refused, {
    code: 1,
    output: /line 2: hashed_password: none.*\n2 lines: 1 good \(scrypt 1\), 1 left out\nImported nobody/,
  })
  const dry = await runImport(t, folder, database, [file, '--dry-run', '--recover-unknown'])
  t.match(dry, { code: 0, output: /2 good \(scrypt 1, unknown 1\), 0 left out\nImported nobody/ })
  const done = await runImport(t, folder, database, [file, '--partial'])
  t.match(done, { code: 0, output: 'Imported 1 users.' })

  const { url } = await start(t, { folder, env: { ...env, ...database } })
  const body = new URLSearchParams({ username: 'ada@example.com', password: PASSWORD })
  t.equal((await fetch(`${url}/api/v1/login/access-token`, { method: 'POST', body })).status, 200)
})

void test('the lines of docs/operations.md are imported as they are written', async (t) => {
  const [folder, database] = [await folderWith(t, 'empty'), await databaseEnv(t)]
  const [, section = ''] = readFileSync('docs/operations.md', 'utf8').split('## Import users')
  const [, lines = ''] = /```json\n(.*?)```/s.exec(section) ?? []
  const file = join(folder, 'users.ndjson')
  writeFileSync(file, lines)
  const { code, output } = await runImport(t, folder, database, [file])
  t.equal(code, 0, output)
  t.match(output, '3 lines: 3 good (bcrypt 1, pbkdf2 1, unsalted md5 1), 0 left out\nImported 3 users.')
})

void test('npm run import-users names what it lacks in a line', async (t) => {
  const folder = await folderWith(t, 'empty')
  for (const [args, said] of [
    [[], 'npm run import-users -- users.ndjson'],
    [['a', 'b'], 'npm run import-users -- users.ndjson'],
    [['--nonsense'], 'Unknown option'],
    [['missing.ndjson'], 'no such file'],
  ] as const) {
    const { code, output } = await runImport(t, folder, {}, [...args])
    t.equal(code, 1)
    t.match(output, said)
    t.notMatch(output, /\n +at /, 'no stack trace')
  }
  const production = {
    ENVIRONMENT: 'production',
    PUBLIC_URL: 'https://api.example.com',
    DATABASE_URL: 'postgresql://localhost/x',
    FIRST_SUPERUSER: 'admin@example.com',
  }
  const { code, output } = await runImport(t, folder, production, ['x', '--recover-unknown'])
  t.equal(code, 1)
  t.match(output, '--recover-unknown: mail is off; set SMTP_HOST')
})
