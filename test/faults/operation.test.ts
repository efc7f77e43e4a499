import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { type Test, test } from 'tap'
import { createDatabase } from '../support/database.ts'
import { freePort } from '../support/postgres.ts'
import { launch, temporaryFolder } from '../support/process.ts'
import { ask } from './support/client.ts'
import { type Scene, setScene, signInAsAdmin } from './support/scene.ts'

/** What docs/operations.md says is done as it is written there. */
const operation = readFileSync('docs/operations.md', 'utf8')

/** The first block of code below a heading. */
function block(heading: string, language: string): string {
  const [, text = ''] = operation.split(`\n## ${heading}\n`)
  const found = new RegExp('```' + language + '\\n(.*?)```', 's').exec(text)?.[1]
  if (found === undefined) throw new Error(`docs/operations.md has no ${language} below ${heading}`)
  return found
}

const OWNER = 'groundwork_owner'

/** As people have it: a role that owns its database and nothing else. */
async function ownDatabase({ server, sql }: Scene): Promise<string> {
  const url = new URL(await createDatabase(server.url))
  await sql.unsafe(`alter database ${url.pathname.slice(1)} owner to ${OWNER}`)
  url.username = OWNER
  return url.href
}

async function setOwner(t: Test, env: Record<string, string> = {}) {
  const scene = await setScene(t, { env })
  await scene.sql.unsafe(`create role ${OWNER} login`)
  return scene
}

function connected(t: Test, url: string): Sql {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  t.teardown(() => sql.end())
  return sql
}

void test('docs/operations.md: a backup is restored into an empty database, and everybody goes on', async (t) => {
  const scene = await setOwner(t)
  const [from, to] = [await ownDatabase(scene), await ownDatabase(scene)]
  const before = await scene.startService({ DATABASE_URL: from })
  const token = await signInAsAdmin(before.url)
  for (const title of ['first', 'second'])
    await ask(`${before.url}/api/v1/items/`, { method: 'POST', token, body: { title } })
  const read = (url: string) => ask(`${url}/api/v1/items/?q=first`, { token })
  const { body: items } = await read(before.url)
  t.equal(items.count, 1)

  const [dump, restore, ...more] = block('Backup', 'sh').trim().split('\n')
  t.same(more, [])
  const cwd = temporaryFolder(t)
  const run = (command: string, DATABASE_URL: string) =>
    // oxlint-disable-next-line node/no-process-env -- the commands are those of the machine
    execFileSync('sh', ['-c', command], { cwd, env: { PATH: process.env.PATH, DATABASE_URL } })
  run(dump!, from)
  run(restore!, to)

  const after = await scene.startService({ DATABASE_URL: to })
  t.same((await read(after.url)).body, items, 'who was signed in still is, and finds what was written')
  const list = await ask(`${after.url}/api/v1/items/`, { token })
  t.equal(list.body.count, 2, 'counts go on')
  const made = await ask(`${after.url}/api/v1/items/`, { method: 'POST', token, body: { title: 'third' } })
  t.equal(made.status, 200)
  t.equal((await ask(`${after.url}/api/v1/items/`, { token })).body.count, 3)
})

void test('docs/operations.md: the statements for a pooler and for searches', async (t) => {
  const scene = await setOwner(t)
  const url = await ownDatabase(scene)
  await scene.startService({ DATABASE_URL: url })
  const timeouts = /`(alter role groundwork [^`]*)`/.exec(operation)![1]!
  await scene.sql.unsafe(timeouts.replaceAll('groundwork', OWNER))
  const [settings] = await connected(t, url)`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`
  t.match(settings, { statement: '1s', lock: '900ms' })

  const administrator = connected(t, Object.assign(new URL(url), { username: 'postgres' }).href)
  await administrator`drop extension pg_trgm cascade`
  const [, statements] = /`(CREATE EXTENSION[^`]*)`/.exec(operation)!
  await administrator.unsafe(statements!)
  const indexes = await administrator`select from pg_indexes where indexname like '%_search_index'`
  t.equal(indexes.length, 2)
})

void test('docs/operations.md: a secret, the migration alone, and the doctor, in production', async (t) => {
  const scene = await setOwner(t)
  const [secret] = /openssl rand [^`]*/.exec(operation)!
  const env = {
    ENVIRONMENT: 'production',
    DATABASE_URL: await ownDatabase(scene),
    SECRET_KEY: execFileSync('sh', ['-c', secret]).toString().trim(),
    FIRST_SUPERUSER: 'admin@example.com',
    FIRST_SUPERUSER_PASSWORD: 'not for anything real',
  }
  const folder = temporaryFolder(t)
  for (const [script, wanted] of [
    ['migrate', 'The database is up to date.'],
    ['doctor', 'Nothing is in the way.'],
  ] as const) {
    t.match(operation, `node dist/scripts/${script}.js`)
    const running = await launch(t, { folder, script: `scripts/${script}.ts`, env })
    t.equal(await running.exited, 0, running.output())
    t.match(running.output(), wanted)
  }
})

const hasPromtool = existsSync('/usr/bin/promtool')
// oxlint-disable-next-line node/no-process-env -- in CI nothing is skipped
const skip = !hasPromtool && process.env.CI === undefined && "needs Debian's package prometheus"

void test('docs/operations.md: the rules of alerts wake somebody when they should', { skip }, async (t) => {
  const rules = block('Metrics and alerts', 'yaml')
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'rules.yml'), rules)
  copyFileSync('test/faults/support/alerts.test.yml', join(folder, 'alerts.test.yml'))
  const promtool = (...args: string[]) => execFileSync('promtool', args, { cwd: folder }).toString()
  t.match(promtool('check', 'rules', 'rules.yml'), 'SUCCESS')
  t.match(promtool('test', 'rules', 'alerts.test.yml'), 'SUCCESS')

  const METRICS_PORT = String(await freePort())
  const scene = await setScene(t, { env: { METRICS_PORT } })
  const service = await scene.startService()
  await signInAsAdmin(service.url)
  const { body } = await ask(`http://127.0.0.1:${METRICS_PORT}/metrics`)
  const told = new Set([...String(body).matchAll(/^\w+/gm)].map(([name]) => name))
  const expressions = rules.replaceAll(/#.*|\{[^{}]*\}(?=\[)/g, '')
  const watched = new Set(expressions.match(/\b[a-z]\w*(?=\s*(?:\[|[=<>]))/g))
  t.ok(watched.size >= 8, [...watched].join(', '))
  for (const name of watched) t.ok(told.has(name), `${name} is told`)
})
