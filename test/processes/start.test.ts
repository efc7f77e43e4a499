import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { launch, signIn, start, temporaryFolder } from '../support/process.ts'

void test('a start on nothing makes what it needs, and the next one finds it', async (t) => {
  const folder = temporaryFolder(t)
  const first = await start(t, { folder })
  for (const told of ['/docs', '/health/ready', 'admin@example.com / changethis'])
    t.match(first.output(), told)
  t.equal(statSync(join(folder, 'data', 'secret')).mode & 0o777, 0o600, 'nobody else reads the secret')
  const headers = await signIn(first)

  await t.test('a second process on the same folder is turned away and told by whom', async (t) => {
    const second = await launch(t, { folder })
    t.equal(await second.exited, 1)
    t.match(second.output(), `in use by process ${first.child.pid}`)
    t.notMatch(second.output(), ' at ', 'a line, not a stack')
  })

  await t.test('a port that is taken is named', async (t) => {
    const { port } = new URL(first.url)
    const other = await launch(t, { folder: temporaryFolder(t), env: { PORT: port } })
    t.equal(await other.exited, 1)
    t.match(other.output(), `Port ${port} is in use`)
  })

  first.child.kill('SIGTERM')
  t.equal(await first.exited, 0)
  const again = await start(t, { folder })
  const me = await fetch(`${again.url}/api/v1/users/me`, { headers })
  t.equal(me.status, 200, 'who was signed in still is')
  again.child.kill('SIGINT')
  t.equal(await again.exited, 0)
})

void test('what is wrong with the environment stops the start, with a line for each fault and no value', async (t) => {
  const folder = temporaryFolder(t)
  const refused = async (env: Record<string, string>) => {
    const running = await launch(t, { folder, env })
    t.equal(await running.exited, 1)
    return running.output()
  }
  const production = await refused({
    ENVIRONMENT: 'production',
    SECRET_KEY: 'short-and-secret',
    SMTP_HOST: 'mail',
  })
  for (const line of [
    'DATABASE_URL',
    'SECRET_KEY',
    'FIRST_SUPERUSER_PASSWORD',
    'EMAILS_FROM_EMAIL',
    'PUBLIC_URL',
  ])
    t.match(production, line)
  t.notMatch(production, 'short-and-secret')
  t.match(await refused({ HOST: '0.0.0.0' }), 'ENVIRONMENT: must be set')
  t.match(await refused({ DATABASE_URL: 'postgres://x:hidden@127.0.0.1:1/x' }), /ECONNREFUSED/)
  t.notMatch(await refused({ DATABASE_URL: 'postgres://x:hidden@127.0.0.1:1/x' }), 'hidden')
})

void test('.env is read, and the environment wins', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(
    join(folder, '.env'),
    'PROJECT_NAME=From the file\nFIRST_SUPERUSER=file@example.com\nLOG_LEVEL=\n',
  )
  const running = await start(t, { folder, env: { PROJECT_NAME: 'From the environment' } })
  t.match(running.output(), 'From the environment is ready')
  t.match(running.output(), 'file@example.com')
})

void test('npm run db:migrate brings a database up to date, and may run twice', async (t) => {
  const folder = temporaryFolder(t)
  for (const run of ['first', 'second']) {
    const migrating = await launch(t, { folder, script: 'scripts/migrate.ts' })
    t.equal(await migrating.exited, 0, run)
    t.match(migrating.output(), 'up to date')
  }
})

void test('migrations are in order, or some would never run', async (t) => {
  const journal = JSON.parse(readFileSync('migrations/meta/_journal.json', 'utf8')) as {
    entries: { idx: number; when: number; tag: string }[]
  }
  journal.entries.forEach((entry, index) => {
    t.equal(entry.idx, index)
    t.ok(readFileSync(`migrations/${entry.tag}.sql`, 'utf8'), entry.tag)
    t.ok(
      index === 0 || entry.when > journal.entries[index - 1]!.when,
      `${entry.tag} is later than the one before`,
    )
  })
})
