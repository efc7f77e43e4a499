import { once } from 'node:events'
import { cpSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { test } from 'tap'
import { buildInfo } from '../../src/config/build-info.ts'
import { launch, signIn, start, temporaryFolder } from '../support/process.ts'

void test('a first start creates what it needs, and the next one uses it', async (t) => {
  const folder = temporaryFolder(t)
  const first = await start(t, { folder })
  await first.printed('admin@example.com / changethis')
  t.match(first.output(), `starting {"version":"${buildInfo.version}"`, 'the log says which build it is')
  for (const told of [`${first.url.replace('127.0.0.1', 'localhost')}/docs`, '/health/ready'])
    t.match(first.output(), told)
  t.equal(statSync(join(folder, 'data', 'secret')).mode & 0o777, 0o600, 'nobody else reads the secret')
  const headers = await signIn(first)

  await t.test('fault 35: a second process on the same folder ends and names the first one', async (t) => {
    const second = await launch(t, { folder })
    t.equal(await second.exited, 1)
    t.match(second.output(), `in use by process ${first.child.pid}`)
    t.equal(second.output().trim().split('\n').length, 1, 'a line, not a stack')
  })

  await t.test('a faulty environment stops the start, with a line for each fault', async (t) => {
    const refused = async (env: Record<string, string>) => {
      const running = await launch(t, { folder, env })
      t.equal(await running.exited, 1)
      t.notMatch(running.output(), ' at ', 'lines, not a stack')
      return running.output()
    }
    const withSecret = {
      ENVIRONMENT: 'production',
      SECRET_KEY: 'short-and-secret',
      SMTP_HOST: 'mail',
      FIRST_SUPERUSER_PASSWORD: 'changethis',
    }
    const [inProduction, everywhere, elsewhere] = await Promise.all([
      refused(withSecret),
      refused({ HOST: '0.0.0.0' }),
      refused({ ENVIRONMENT: 'prod', DATABASE_URL: 'mysql://x:hidden@db/x' }),
    ])
    for (const name of ['DATABASE_URL', 'SECRET_KEY', 'FIRST_SUPERUSER_PASSWORD', 'EMAILS_FROM_EMAIL'])
      t.match(inProduction, new RegExp(`^ {2}- ${name}: `, 'm'))
    t.match(inProduction, 'FRONTEND_HOST or PUBLIC_URL: one is needed')
    t.match(inProduction, '"changethis" is known to everybody')
    t.notMatch(inProduction, 'short-and-secret')
    t.match(everywhere, 'ENVIRONMENT: must be set')
    t.match(elsewhere, 'ENVIRONMENT: one of local, staging or production is needed')
    t.match(elsewhere, 'DATABASE_URL: ')
    t.notMatch(elsewhere, 'hidden')
  })

  first.child.kill('SIGKILL')
  await first.exited

  await t.test('a start on a port in use ends with a line that names the port', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    t.teardown(() => taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const other = await launch(t, { folder, env: { PORT: String(port) } })
    t.equal(await other.exited, 1)
    t.match(other.output(), `Port ${port} is in use`)
    t.notMatch(other.output(), ' at ', 'a line, not a stack')
  })

  await t.test(
    'a start after kill -9 keeps sessions, and environment variables override those of .env',
    async (t) => {
      writeFileSync(
        join(folder, '.env'),
        'PROJECT_NAME=From the file\nFIRST_SUPERUSER=file@example.com\nLOG_LEVEL=\n',
      )
      const again = await start(t, { folder, env: { PROJECT_NAME: 'From the environment', DATA_DIR: '' } })
      await again.printed('From the environment is ready')
      t.match(again.output(), 'file@example.com')
      const me = await fetch(`${again.url}/api/v1/users/me`, { headers })
      t.equal(me.status, 200, 'who was signed in still is')
      again.child.kill('SIGINT')
      t.equal(await again.exited, 0)
    },
  )
})

void test('a change of a table without a migration is reported by a start in local and by the doctor', async (t) => {
  const project = temporaryFolder(t)
  for (const part of ['dist', 'migrations']) cpSync(part, join(project, part), { recursive: true })
  for (const part of ['node_modules', 'package.json', 'emails'])
    symlinkSync(resolve(part), join(project, part))
  const tables = join(project, 'dist/database/tables.js')
  const changed = readFileSync(tables, 'utf8').replace(/(\n\s*)is_verified:/, '$1nickname: text(),$&')
  writeFileSync(tables, changed)
  const options = { folder: temporaryFolder(t), build: join(project, 'dist') }
  const started = await launch(t, options)
  await started.printed('run npm run db:generate')
  t.match(started.output(), 'no migration makes (users.nickname)')
  const doctor = await launch(t, { ...options, script: 'scripts/doctor.ts' })
  t.equal(await doctor.exited, 1)
  t.match(
    doctor.output(),
    /^✗ migrations +The tables have changes .*users\.nickname.*npm run db:generate -- --name …$/m,
  )
})
