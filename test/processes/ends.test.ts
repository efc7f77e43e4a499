import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'tap'
import { type Running, databaseEnv, launch, signIn, start, temporaryFolder } from '../support/process.ts'

type Headers = Awaited<ReturnType<typeof signIn>>

const WRITES = 1000

/** A request that promises more than it sends. */
const UNFINISHED =
  'POST /api/v1/users/signup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'

void test('a service that is migrated, killed and stopped', async (t) => {
  const folder = temporaryFolder(t)
  const database = await databaseEnv(t)
  const env = { ...database, LOG_LEVEL: 'warn' }

  await t.test('npm run db:migrate brings an empty database up to date, and may run twice', async (t) => {
    for (const run of ['first', 'second']) {
      const migrating = await launch(t, { folder, env, script: 'scripts/migrate.ts' })
      t.equal(await migrating.exited, 0, `${run} run: ${migrating.output()}`)
      t.match(migrating.output(), 'up to date')
    }
  })

  await t.test('kill -9 in the middle of writes loses none that was acknowledged', async (t) => {
    const running = await start(t, { folder, env })
    const acknowledged = await writeUntilKilled(running, await signIn(running))
    t.equal(await running.exited, 'SIGKILL')
    t.ok(acknowledged.size >= WRITES)

    const again = await start(t, { folder, env: { ...env, LOG_LEVEL: 'info' } })
    const kept = await everyItem(again, await signIn(again))
    const lost = [...acknowledged].filter((id) => !kept.has(id))
    t.same(lost, [])

    await t.test('a second signal ends it at once, whatever is under way', async (t) => {
      const unfinished = connect(Number(new URL(again.url).port), '127.0.0.1').on('error', () => undefined)
      t.teardown(() => unfinished.destroy())
      unfinished.write(UNFINISHED)
      await again.printed('/users/signup')
      again.child.kill('SIGTERM')
      await again.printed('SIGTERM: stopping')
      const told = Date.now()
      again.child.kill('SIGTERM')
      t.equal(await again.exited, 1)
      t.ok(Date.now() - told < 2000)
    })
  })

  await t.test(
    'SIGTERM with connections that ask nothing, or never finish: the end is in order all the same',
    async (t) => {
      const running = await start(t, { folder, env: { ...env, LOG_LEVEL: 'info' } })
      for (const bytes of ['', 'GET /health/live HTTP/1.1\r\nHo', UNFINISHED]) {
        const socket = connect(Number(new URL(running.url).port), '127.0.0.1').on('error', () => undefined)
        t.teardown(() => socket.destroy())
        socket.write(bytes)
      }
      await running.printed('/users/signup')
      const told = Date.now()
      running.child.kill('SIGTERM')
      t.equal(await running.exited, 0)
      t.ok(Date.now() - told < 10_000, 'within 10 s')
    },
  )

  await t.test('SIGTERM under keep-alive load: every request that was sent is answered', async (t) => {
    const running = await start(t, { folder, env })
    const headers = await signIn(running)
    const logins = Array.from({ length: 20 }, () => signIn(running))
    const clients = Array.from({ length: 8 }, () => keepAsking(running, headers))
    await Promise.race(logins)

    const told = Date.now()
    running.child.kill('SIGTERM')
    const outcomes = await Promise.allSettled([...clients, ...logins])
    t.same(
      outcomes.filter(({ status }) => status === 'rejected'),
      [],
      'those in the queue for hashing are answered too',
    )
    t.equal(await running.exited, 0)
    t.ok(Date.now() - told < 10_000, 'within 10 s')
  })
})

/** Eight clients create items until enough are acknowledged; then the process is killed while they go on. */
async function writeUntilKilled({ url, child }: Running, headers: Headers): Promise<Set<string>> {
  const acknowledged = new Set<string>()
  const write = async () => {
    for (;;) {
      const answer = await fetch(`${url}/api/v1/items/`, {
        method: 'POST',
        headers,
        body: '{"title":"Kept"}',
      })
      const { id } = (await answer.json()) as { id?: string }
      if (id === undefined) throw new Error(`refused: ${answer.status}`)
      acknowledged.add(id)
      if (acknowledged.size === WRITES) child.kill('SIGKILL')
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, write))
  return acknowledged
}

async function everyItem({ url }: Running, headers: Headers): Promise<Set<string>> {
  const ids = new Set<string>()
  for (let skip = 0; ; skip += 1000) {
    const answer = await fetch(`${url}/api/v1/items/?limit=1000&skip=${skip}`, { headers })
    const { data } = (await answer.json()) as { data: { id: string }[] }
    if (data.length === 0) return ids
    for (const { id } of data) ids.add(id)
  }
}

/**
 * Asks over one connection, again and again, until an answer closes it: a client would open the next one to
 * another replica.
 *
 * @throws where a request gets no answer, or another than 200
 */
async function keepAsking({ url }: Running, headers: Headers): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let closes = false; !closes;) {
    const answer = await get(agent, `${url}/api/v1/items/?limit=1`, headers)
    if (answer.status !== 200) throw new Error(`answered ${answer.status}`)
    closes = answer.closes
  }
  agent.destroy()
}

function get(agent: Agent, url: string, headers: Headers): Promise<{ status: number; closes: boolean }> {
  return new Promise((resolve, reject) => {
    request(url, { agent, headers }, (answer) => {
      answer.resume()
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, closes: answer.headers.connection === 'close' }),
      )
    })
      .on('error', reject)
      .end()
  })
}
