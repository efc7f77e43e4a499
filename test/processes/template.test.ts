import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { startMailServer } from '../support/mail-server.ts'
import { launch, signIn, start, temporaryFolder } from '../support/process.ts'

/** The service started with the `.env` of the FastAPI template as it is, on a real PostgreSQL. */

const FILES = 'test/support/template'
const OLDER = readFileSync(`${FILES}/template-older.env`, 'utf8')
const NEWER = readFileSync(`${FILES}/template.env`, 'utf8')

/** An empty database: its URL, and the names that lead a template's `.env` there. */
async function emptyDatabase(t: Test) {
  const server = process.env.TEST_DATABASE_URL ?? ''
  const url = new URL(await createDatabase(server))
  t.teardown(() => dropDatabase(server, url.href))
  const names = {
    POSTGRES_SERVER: url.hostname,
    POSTGRES_PORT: url.port,
    POSTGRES_DB: url.pathname.slice(1),
    DATABASE_TIMEOUT_MS: '8000',
  }
  return { url, names }
}

const preflight = (url: string, origin: string) =>
  fetch(`${url}/api/v1/users/me`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET' },
  })

const linesOf = (output: string, text: string) => output.split('\n').filter((line) => line.includes(text))

void test(
  "with the template's older .env the service is up, and the superuser signs in",
  needsPostgres,
  async (t) => {
    const { names } = await emptyDatabase(t)
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, '.env'), OLDER)
    const running = await start(t, { folder, env: names })
    await running.printed('may call it')
    const me = await fetch(`${running.url}/api/v1/users/me`, { headers: await signIn(running) })
    t.match(await me.json(), { email: 'admin@example.com', is_superuser: true })
    t.match(running.output(), 'Full Stack FastAPI Project is ready')
    t.match(running.output(), /Database +PostgreSQL/)
    t.match(running.output(), /Frontends +http:\/\/localhost:5173, .*https:\/\/localhost:5173/)
    t.strictSame(linesOf(running.output(), 'mean nothing').length, 1)
    t.match(linesOf(running.output(), 'mean nothing'), [/STACK_NAME$/])
    t.match(running.output(), /SECRET_KEY is weak, which local alone takes/)
    for (const origin of ['http://localhost:5173', 'https://localhost'])
      t.equal((await preflight(running.url, origin)).headers.get('access-control-allow-origin'), origin)
  },
)

void test(
  "with the template's .env the service is up, signs in, and sends mails as it did",
  needsPostgres,
  async (t) => {
    const { url, names } = await emptyDatabase(t)
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, '.env'), NEWER.replace('localhost:5432/app', `${url.host}${url.pathname}`))
    const mail = await startMailServer(t)
    const env = { DATABASE_TIMEOUT_MS: names.DATABASE_TIMEOUT_MS, SMTP_PORT: String(mail.port) }
    const running = await start(t, { folder, env })
    const me = await fetch(`${running.url}/api/v1/users/me`, { headers: await signIn(running) })
    t.match(await me.json(), { email: 'admin@example.com', is_superuser: true })
    t.match(linesOf(running.output(), 'mean nothing'), [/FASTAPI_ENV$/])
    const origin = 'http://localhost:5173'
    t.equal((await preflight(running.url, origin)).headers.get('access-control-allow-origin'), origin)

    await fetch(`${running.url}/api/v1/password-recovery/admin@example.com`, { method: 'POST' })
    const [received] = await mail.arrived(1)
    t.match(received, {
      from: { value: [{ address: 'info@example.com', name: 'Full Stack FastAPI Project' }] },
      envelope: { to: ['admin@example.com'], secure: false },
      html: `${running.url.replace('127.0.0.1', 'localhost')}/reset-password?token=`,
    })
  },
)

void test(
  'a .env whose POSTGRES_SERVER makes the DATABASE_URL leads to that database',
  needsPostgres,
  async (t) => {
    const { names } = await emptyDatabase(t)
    const folder = temporaryFolder(t)
    const parts = { ...names, POSTGRES_USER: 'postgres', POSTGRES_PASSWORD: "'any @:/#%$ sign'" }
    writeFileSync(
      join(folder, '.env'),
      Object.entries(parts)
        .map((part) => part.join('='))
        .join('\n'),
    )
    const running = await start(t, { folder })
    await running.printed('Frontends')
    t.match(running.output(), /Database +PostgreSQL/)
    await signIn(running)
  },
)

/** The commands of docs/from-fastapi-template.md below a heading, which end with the start. */
function commands(heading: string): string {
  const page = readFileSync('docs/from-fastapi-template.md', 'utf8')
  const [, section = ''] = page.split(`\n## ${heading}\n`)
  const [, block = ''] = /```sh\n(.*?)npm start\n```/s.exec(section) ?? []
  if (block === '') throw new Error(`docs/from-fastapi-template.md has no commands below ${heading}`)
  return block
}

void test(
  'docs/from-fastapi-template.md: its .env, then its frontend on one origin with the profile',
  needsPostgres,
  async (t) => {
    const { names } = await emptyDatabase(t)
    const folder = temporaryFolder(t)
    const [service, frontend] = [join(folder, 'service'), join(folder, 'product', 'frontend')]
    mkdirSync(service)
    mkdirSync(frontend, { recursive: true })
    writeFileSync(join(folder, 'product', '.env'), OLDER)
    // Stands for the template's, which Vite builds: what it writes, and what it takes from VITE_API_URL.
    const build = `mkdir -p dist && echo "<title>App</title><!-- $VITE_API_URL/api/v1 -->" > dist/index.html`
    writeFileSync(join(frontend, 'package.json'), JSON.stringify({ scripts: { build } }))
    const run = (heading: string) => {
      const { PATH, HOME } = process.env
      execFileSync('sh', ['-ec', commands(heading)], {
        cwd: service,
        env: { PATH, HOME, VITE_API_URL: 'unset' },
      })
    }

    run('Its .env')
    const first = await start(t, { folder: service, env: names })
    const headers = await signIn(first)
    t.equal((await fetch(`${first.url}/login`, { headers: { accept: 'text/html' } })).status, 404)
    first.child.kill('SIGTERM')
    await first.exited

    run('Its frontend')
    const running = await start(t, { folder: service, env: { ...names, PORT: new URL(first.url).port } })
    await running.printed('Profile')
    t.match(
      running.output(),
      /Profile +fastapi-template: sets EMAIL_VERIFICATION=off, ACCESS_TOKEN_EXPIRE_MINUTES=11520$/m,
    )
    const page = await fetch(`${running.url}/login`, { headers: { accept: 'text/html' } })
    t.match(await page.text(), '<title>App</title><!-- /api/v1 -->')
    t.equal(
      (await fetch(`${running.url}/api/v1/users/me`, { headers })).status,
      200,
      'who was signed in still is',
    )
    const form = new URLSearchParams({ username: 'admin@example.com', password: 'changethis' })
    const token = await fetch(`${running.url}/api/v1/login/access-token`, { method: 'POST', body: form })
    t.match(await token.json(), { expires_in: 8 * 24 * 3600 })
    const mail = await fetch(`${running.url}/api/v1/password-recovery-html-content/admin@example.com`, {
      method: 'POST',
      headers,
    })
    const own = running.url.replace('127.0.0.1', 'localhost')
    t.match(await mail.text(), `href="${own}/reset-password?token=`, 'links lead to the frontend')

    const doctor = await launch(t, { folder: service, env: names, script: 'scripts/doctor.ts' })
    await doctor.exited
    t.match(doctor.output(), /^✓ profile +fastapi-template: sets EMAIL_VERIFICATION=off, /m)
    t.match(
      doctor.output(),
      /^✓ frontend +served from FRONTEND_DIR; links in mails lead to http:\/\/localhost:/m,
    )
    t.match(doctor.output(), /^✓ environment names of \.env that mean nothing here: STACK_NAME$/m)

    await t.test('a sign-out ends a token of the profile at once', async (t) => {
      const own = await signIn(running)
      await fetch(`${running.url}/api/v1/login/logout`, {
        method: 'POST',
        headers: { authorization: own.authorization },
      })
      t.equal((await fetch(`${running.url}/api/v1/users/me`, { headers: own })).status, 401)
    })
  },
)

void test('a FRONTEND_DIR that is missing or not built stops the start with one line', async (t) => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'empty'))
  for (const [FRONTEND_DIR, line] of [
    ['nowhere', /^ {2}- FRONTEND_DIR: there is no such folder/m],
    ['empty', /^ {2}- FRONTEND_DIR: has no index\.html/m],
  ] as const) {
    const running = await launch(t, { folder, env: { FRONTEND_DIR } })
    t.equal(await running.exited, 1)
    t.match(running.output(), line)
    t.notMatch(running.output(), ' at ', 'a line, not a stack')
  }
})
