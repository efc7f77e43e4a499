import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'tap'
import { compose } from '../support/compose.ts'
import { start, temporaryFolder } from '../support/process.ts'
import { ask } from './support/client.ts'
import { setScene } from './support/scene.ts'

const text = readFileSync('compose.yaml', 'utf8')

const run = (command: string, args: string[], PGPORT: string) =>
  // oxlint-disable-next-line node/no-process-env -- the commands are those of the machine
  execFileSync(command, args, { env: { PATH: process.env.PATH, PGPORT } }).toString()

/** There is no engine: the parts are those of this machine, and hosts by their names are its ports. */
void test('compose.yaml: the service starts as it says, signs people in, and mails', async (t) => {
  const chosen = {
    SECRET_KEY: 'only for tests, and long enough for that',
    FIRST_SUPERUSER_PASSWORD: 'chosen for it',
  }
  for (const [name, told] of [
    ['SECRET_KEY', /openssl rand -base64 32/],
    ['FIRST_SUPERUSER_PASSWORD', /choose one/],
  ] as const)
    t.throws(() => compose(text, { ...chosen, [name]: '' }), told)

  const { service, database } = compose(text, chosen)
  const { sql, mailServer, server } = await setScene(t)
  const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = database!.environment!
  await sql.unsafe(`create role ${POSTGRES_USER} login superuser password '${POSTGRES_PASSWORD}'`)
  await sql.unsafe(`create database ${POSTGRES_DB} owner ${POSTGRES_USER}`)
  const { port: PGPORT } = new URL(server.url)
  const [, command, ...args] = database!.healthcheck!.test
  t.match(run(command!, args, PGPORT), 'accepting connections')

  const at = (value: string) =>
    value.replace('@database:5432', `@127.0.0.1:${PGPORT}`).replace(/^mail$/, '127.0.0.1')
  const env = Object.fromEntries(
    Object.entries(service!.environment!).map(([name, value]) => [name, at(String(value))]),
  )
  const { url } = await start(t, {
    folder: temporaryFolder(t),
    env: { ...env, SMTP_PORT: String(mailServer.port) },
  })
  const { body: session } = await ask(`${url}/api/v1/login/access-token`, {
    method: 'POST',
    form: { username: 'admin@example.com', password: chosen.FIRST_SUPERUSER_PASSWORD },
  })
  const sent = await ask(`${url}/api/v1/utils/test-email/?email_to=someone@example.com`, {
    method: 'POST',
    token: session.access_token,
  })
  t.equal(sent.status, 201)
  const [mail] = await mailServer.arrived(1)
  t.equal(mail?.envelope.from, 'groundwork@example.com')
  t.equal((await ask(`${url}/docs/`)).status, 200, 'with /docs')
})
