import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { SMTPServerOptions } from 'smtp-server'
import { type Test, test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { PermanentFailure, transport } from '../../src/mail/transport.ts'
import { cert, key } from '../support/certificate.ts'
import { type MailServer, reply, startMailServer } from '../support/mail-server.ts'

const mail = { id: 'id', to: 'ada@example.com', subject: 'Hello', html: '<p>Hello</p>', text: 'Hello' }
const local = { ENVIRONMENT: 'local', SECRET_KEY: 'only for tests'.padEnd(32, '.') }
const run = promisify(execFile)

/** Servers with TLS, and one that asks for a password. */
const startTls = { disabledCommands: [], key, cert } satisfies SMTPServerOptions
const tls = { secure: true, key, cert } satisfies SMTPServerOptions
const strict: SMTPServerOptions = {
  authOptional: false,
  disabledCommands: ['STARTTLS'],
  allowInsecureAuth: true,
  onAuth({ username, password }, _session, done) {
    const right = username === 'mailer' && password === 'p@ss: word'
    done(right ? null : reply(535, 'who are you?'), right ? { user: username } : undefined)
  },
}

/** Sends one mail in this process, which does not trust the certificate of these tests. */
async function send(t: Test, server: MailServer, env: Record<string, string> = {}) {
  const outgoing = transport(readConfig({ ...local, ...server.env, ...env }))
  t.teardown(() => outgoing.close())
  await outgoing.send(mail)
}

/** Sends one mail in a process that trusts the certificate of these tests. */
async function sendTrusting(t: Test, server: MailServer, env: Record<string, string>) {
  const folder = t.testdir({ 'trusted.pem': cert })
  const script = fileURLToPath(new URL('../support/send-mail.ts', import.meta.url))
  const NODE_EXTRA_CA_CERTS = join(folder, 'trusted.pem')
  await run(process.execPath, [...process.execArgv, script], {
    env: { ...process.env, ...local, ...server.env, SMTP_HOST: 'localhost', NODE_EXTRA_CA_CERTS, ...env },
  })
}

void test('with SMTP_TLS=false, mail is sent unencrypted', async (t) => {
  const server = await startMailServer(t)
  await send(t, server)
  t.match(server.mails, [{ subject: 'Hello', messageId: '<id@example.com>', envelope: { secure: false } }])
})

void test('unless SMTP_TLS is false, a server that offers no STARTTLS gets no mail', async (t) => {
  const stripped = await startMailServer(t)
  await t.rejects(send(t, stripped, { SMTP_TLS: 'true' }), { code: 'ETLS' })
  t.same(stripped.mails, [], 'nothing went out in the clear')
  const defaults = { ...stripped.env, SMTP_TLS: '' }
  await t.rejects(
    send(t, { ...stripped, env: defaults }),
    { code: 'ETLS' },
    'unless it is switched off on purpose',
  )
})

void test('a server with an untrusted certificate gets no mail and no password', async (t) => {
  const passwords: unknown[] = []
  const spy: SMTPServerOptions = {
    onAuth: ({ password }, _session, done) => (passwords.push(password), done(null, { user: 'x' })),
  }
  const credentials = { SMTP_USER: 'mailer', SMTP_PASSWORD: 'secret' }
  const byStartTls = await startMailServer(t, { ...startTls, ...spy })
  await t.rejects(send(t, byStartTls, { SMTP_TLS: 'true', ...credentials }), /self-signed/)
  const byTls = await startMailServer(t, { ...tls, ...spy })
  await t.rejects(send(t, byTls, { SMTP_SSL: 'true', ...credentials }), /self-signed/)
  t.same([byStartTls.mails, byTls.mails, passwords], [[], [], []])
})

void test('a server with a trusted certificate gets mail encrypted', async (t) => {
  const [byStartTls, byTls] = [await startMailServer(t, startTls), await startMailServer(t, tls)]
  await Promise.all([
    sendTrusting(t, byStartTls, { SMTP_TLS: 'true' }),
    sendTrusting(t, byTls, { SMTP_SSL: 'true' }),
  ])
  for (const { mails } of [byStartTls, byTls])
    t.match(mails, [{ subject: 'Hello', envelope: { secure: true, to: ['ada@example.com'] } }])
})

void test('a server that asks for a password is sent SMTP_USER and SMTP_PASSWORD', async (t) => {
  const server = await startMailServer(t, strict)
  await send(t, server, { SMTP_USER: 'mailer', SMTP_PASSWORD: 'p@ss: word' })
  t.match(server.mails, [{ envelope: { user: 'mailer' } }])
})

void test('a wrong password or an unreachable server is no permanent failure of a mail', async (t) => {
  const asking = await startMailServer(t, strict)
  const stubborn = await startMailServer(t)
  stubborn.answer = (step) => (step === 'from' ? reply(530, 'authentication required') : undefined)
  const away = createServer().listen(0, '127.0.0.1')
  await once(away, 'listening')
  const { port } = away.address() as { port: number }
  away.close()
  const attempts = {
    'a wrong password': () => send(t, asking, { SMTP_USER: 'mailer', SMTP_PASSWORD: 'wrong' }),
    'no password': () => send(t, asking),
    'no password, as others say it': () => send(t, stubborn),
    'a server that is away': () => send(t, { ...asking, env: { ...asking.env, SMTP_PORT: String(port) } }),
  }
  for (const [what, attempt] of Object.entries(attempts))
    await attempt().then(
      () => t.fail(`${what} sends nothing`),
      (error: unknown) => t.notOk(error instanceof PermanentFailure, `${what}: the mail waits`),
    )
})

void test('a 5xx reply to recipient or data is a permanent failure of a mail, a 4xx reply is not', async (t) => {
  const server = await startMailServer(t)
  for (const [step, code, isPermanent] of [
    ['to', 550, true],
    ['data', 554, true],
    ['to', 450, false],
    ['data', 452, false],
    ['from', 421, false],
  ] as const) {
    server.answer = (at) => (at === step ? reply(code, 'no') : undefined)
    await send(t, server).then(
      () => t.fail('refused'),
      (error: unknown) => t.equal(error instanceof PermanentFailure, isPermanent, `${code} at ${step}`),
    )
  }
})
