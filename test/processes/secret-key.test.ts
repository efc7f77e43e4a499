import { setTimeout as pause } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { needsPostgres } from '../support/database.ts'
import { type MailServer, startMailServer } from '../support/mail-server.ts'
import { freePort } from '../support/postgres.ts'
import { type Running, databaseEnv, start, temporaryFolder } from '../support/process.ts'
import { address } from '../support/service.ts'
import { totpOf } from '../support/totp.ts'

const A = 'the secret key before the change, of this test'
const B = 'the secret key after the change, of the same'
const PASSWORD = 'correct horse battery'
const READERS = 3
const PACE_MS = 20

/** The settings of each step: both replicas are given them, one after the other. */
const STEPS = [
  { SECRET_KEY: A, SECRET_KEY_PREVIOUS: B },
  { SECRET_KEY: B, SECRET_KEY_PREVIOUS: A },
  { SECRET_KEY: B },
]

interface Answer {
  readonly status: number
  readonly etag: string | null
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of every shape
  readonly body: any
}

/** Two replicas on one database, of which the next request goes to one that is not being restarted. */
async function twoReplicas(t: Test, first: Record<string, string>) {
  const mails = await startMailServer(t)
  const env = {
    ...(await databaseEnv(t)),
    ...mails.env,
    ENVIRONMENT: 'local',
    RATE_LIMIT_ENABLED: 'false',
    LOG_LEVEL: 'warn',
  }
  const ports = [String(await freePort()), String(await freePort())]
  const run = (PORT: string, keys: Record<string, string>) =>
    start(t, { folder: temporaryFolder(t), env: { ...env, ...keys, PORT } })
  const up: Running[] = []
  for (const port of ports) up.push(await run(port, first))
  let turn = 0

  async function ask(method: string, path: string, token = '', body?: object, more = {}): Promise<Answer> {
    const { url } = up[(turn += 1) % up.length]!
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        ...(token !== '' && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...more,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    const parsed: unknown = text === '' ? undefined : JSON.parse(text)
    return { status: answer.status, etag: answer.headers.get('etag'), body: parsed }
  }

  /** Restarts one after the other. */
  async function roll(keys: Record<string, string>) {
    for (const port of ports) {
      const at = up.findIndex(({ url }) => url.endsWith(`:${port}`))
      const [stopped] = up.splice(at, 1)
      stopped!.child.kill('SIGTERM')
      await stopped!.exited
      up.push(await run(port, keys))
    }
  }

  async function signIn(username: string, code?: string): Promise<Answer> {
    const form = new URLSearchParams({ username, password: PASSWORD, ...(code !== undefined && { code }) })
    const { url } = up[(turn += 1) % up.length]!
    const answer = await fetch(`${url}/api/v1/login/access-token`, { method: 'POST', body: form })
    return { status: answer.status, etag: null, body: await answer.json() }
  }

  async function person() {
    const email = address()
    await ask('POST', '/users/signup', '', { email, password: PASSWORD })
    const { body } = await signIn(email)
    return { email, ...(body as { access_token: string; refresh_token: string }) }
  }
  return { ask, roll, signIn, person, mails }
}

type Replicas = Awaited<ReturnType<typeof twoReplicas>>

/** The token of the newest link that was mailed to somebody for this. */
async function mailedToken({ mails }: { mails: MailServer }, email: string, path: string, seen: number) {
  for (let count = seen + 1; ; count++) {
    const arrived = await mails.arrived(count)
    const found = arrived
      .slice(seen)
      .find(({ envelope: { to }, text = '' }) => to.includes(email) && text.includes(path))
    if (found) return /token=([\w.-]+)/.exec(found.text ?? '')![1]!
  }
}

/** Requests without end, each with what the one before gave; `rounds` counts them, and `failures` has what was not as it should be. */
function load(work: (expect: Expect) => Promise<() => Promise<void>>) {
  const failures: string[] = []
  const state = { rounds: 0, stopped: false, failures }
  const expect: Expect = (what, answer, status) => {
    if (answer.status !== status) failures.push(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const done = (async () => {
    const round = await work(expect)
    for (; !state.stopped; state.rounds++) {
      await round()
      await pause(PACE_MS)
    }
  })()
  return Object.assign(state, {
    async stop() {
      state.stopped = true
      await done
    },
    /** Resolves when a round that begins from now on has ended. */
    async another() {
      const target = state.rounds + 2
      while (state.rounds < target) await Promise.race([pause(PACE_MS), done])
    },
  })
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers of every shape
type Expect = (what: string, answer: Answer, status: number) => any

/** Somebody who reads and changes a row, and refreshes their tokens. */
const reader = (replicas: Replicas) => async (expect: Expect) => {
  const { ask } = replicas
  let tokens: { access_token: string; refresh_token: string } = await replicas.person()
  const made = await ask('POST', '/items/', tokens.access_token, { title: 'Oil' })
  let etag = made.etag!
  const path = `/items/${made.body.id}`
  return async () => {
    const match = { 'if-match': etag }
    const changed = await ask('PUT', path, tokens.access_token, { title: 'Water' }, match)
    expect('change', changed, 200)
    etag = changed.etag!
    expect('read', await ask('GET', path, tokens.access_token, undefined, { 'if-none-match': etag }), 304)
    const page = await ask('GET', '/items/?limit=1', tokens.access_token)
    expect('list', page, 200)
    const { refresh_token } = tokens
    tokens = expect('refresh', await ask('POST', '/login/refresh-token', '', { refresh_token }), 200)
  }
}

/** Somebody who forgets the password again and again. */
const forgetful = (replicas: Replicas) => async (expect: Expect) => {
  const { ask, mails } = replicas
  const { email } = await replicas.person()
  return async () => {
    const seen = mails.mails.length
    expect('recovery', await ask('POST', `/password-recovery/${email}`), 200)
    const token = await mailedToken(replicas, email, '/reset-password', seen)
    expect('reset', await ask('POST', '/reset-password/', '', { token, new_password: PASSWORD }), 200)
    expect('sign-in', await replicas.signIn(email), 200)
  }
}

void test(
  'SECRET_KEY is changed on two replicas under load, and nobody is signed out',
  needsPostgres,
  async (t) => {
    const replicas = await twoReplicas(t, { SECRET_KEY: A })
    const { ask, person, roll, signIn } = replicas
    const ada = await person()
    const { body: factor } = await ask('POST', '/users/me/factors/totp', ada.access_token, {})
    const code = () => totpOf(factor.secret as string)
    await ask('POST', `/users/me/factors/${factor.id}/verify`, ada.access_token, { code: code() })
    const { body: challenged } = await signIn(ada.email)
    const idle = await person()
    const before = replicas.mails.mails.length
    await ask('POST', `/password-recovery/${idle.email}`)
    const link = await mailedToken(replicas, idle.email, '/reset-password', before)

    const loads = [...Array.from({ length: READERS }, () => reader(replicas)), forgetful(replicas)].map(
      (work) => load(work),
    )
    const another = () => Promise.all(loads.map((one) => one.another()))
    await another()
    for (const keys of STEPS) {
      await roll(keys)
      await another()
    }
    await Promise.all(loads.map((one) => one.stop()))
    t.strictSame(
      loads.flatMap(({ failures }) => failures),
      [],
      'nobody noticed',
    )
    t.comment(`${loads.map(({ rounds }) => rounds).join(', ')} rounds`)

    const refused = { status: 401, body: { detail: 'Could not validate credentials' } }
    t.match(
      await ask('GET', '/users/me', idle.access_token),
      refused,
      'what A made and nobody refreshed is refused',
    )
    t.match(await ask('POST', '/login/refresh-token', '', { refresh_token: idle.refresh_token }), refused)
    const used = await ask('POST', '/reset-password/', '', { token: link, new_password: PASSWORD })
    t.match(used, { status: 400, body: { detail: 'Invalid token' } })
    const shown = await ask('POST', '/login/second-factor', '', {
      challenge: challenged.challenge,
      code: code(),
    })
    t.match(shown, { status: 400, body: { detail: 'Invalid token' } })
    t.match(await signIn(ada.email, code()), { status: 400, body: { detail: 'Incorrect code' } })
    t.equal((await signIn(idle.email)).status, 200)
  },
)
