import { Agent, request } from 'node:http'
import { type Test, test } from 'tap'
import { createDatabase, dropDatabase } from '../support/database.ts'
import { type Running, signIn, start, temporaryFolder } from '../support/process.ts'

const server = process.env.TEST_DATABASE_URL

/** The environment of a process on a new database: of the PostgreSQL under test, or the embedded one. */
async function database(t: Test): Promise<Record<string, string>> {
  if (server === undefined) return {}
  const url = await createDatabase(server)
  t.teardown(() => dropDatabase(server, url))
  return { DATABASE_URL: url }
}

/** A request over an agent, for connections that are kept. */
function get(
  agent: Agent,
  url: string,
  headers: Record<string, string>,
): Promise<{ status: number; closes: boolean }> {
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

void test('SIGTERM under keep-alive load: every request that was sent is answered, and the end is in order', async (t) => {
  const running = await start(t, {
    folder: temporaryFolder(t),
    env: { ...(await database(t)), LOG_LEVEL: 'warn' },
  })
  const headers = await signIn(running)
  const answered: number[] = []

  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (;;) {
      const answer = await get(agent, `${running.url}/api/v1/items/`, headers)
      answered.push(answer.status)
      // A client that is told to close would open another connection next, to another replica.
      if (answer.closes) return agent.destroy()
    }
  }
  const clients = Array.from({ length: 8 }, client)
  const logins = Array.from({ length: 6 }, () => signIn(running))
  await Promise.race(logins)
  const told = Date.now()
  running.child.kill('SIGTERM')
  const outcomes = await Promise.allSettled([...clients, ...logins])
  t.same(
    outcomes.filter(({ status }) => status === 'rejected'),
    [],
    'nothing was dropped',
  )
  t.same([...new Set(answered)], [200])
  t.equal(await running.exited, 0)
  t.ok(Date.now() - told < 10_000, 'within 10 s')
})

void test('kill -9 in the middle of writes loses none that was acknowledged', async (t) => {
  const folder = temporaryFolder(t)
  const env = { ...(await database(t)), LOG_LEVEL: 'warn' }
  const running = await start(t, { folder, env })
  const headers = await signIn(running)
  const acknowledged = new Set<string>()

  const writer = async () => {
    while (acknowledged.size < 1000) {
      const answer = await fetch(`${running.url}/api/v1/items/`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ title: 'Kept' }),
      })
      acknowledged.add(((await answer.json()) as { id: string }).id)
    }
    running.child.kill('SIGKILL')
  }
  await Promise.allSettled(Array.from({ length: 8 }, writer))
  t.equal(await running.exited, 'SIGKILL')

  const again = await start(t, { folder, env })
  const kept = await everyItem(again)
  const lost = [...acknowledged].filter((id) => !kept.has(id))
  t.ok(acknowledged.size >= 1000)
  t.same(lost, [])
})

async function everyItem(running: Running): Promise<Set<string>> {
  const headers = await signIn(running)
  const ids = new Set<string>()
  for (let skip = 0; ; skip += 1000) {
    const answer = await fetch(`${running.url}/api/v1/items/?limit=1000&skip=${skip}`, { headers })
    const { data } = (await answer.json()) as { data: { id: string }[] }
    if (data.length === 0) return ids
    for (const { id } of data) ids.add(id)
  }
}

void test('three processes that start at once on an empty database all come up', async (t) => {
  if (server === undefined) {
    t.pass('needs PostgreSQL: npm run test:postgres')
    return
  }
  const env = await database(t)
  const all = await Promise.all([1, 2, 3].map(() => start(t, { folder: temporaryFolder(t), env })))
  const headers = await signIn(all[0]!)
  for (const one of all) {
    const answer = await fetch(`${one.url}/api/v1/users/`, { headers })
    // Each made a secret of its own, so the token is good at the first alone; all know the one superuser.
    t.equal(answer.status, one === all[0] ? 200 : 401)
    if (one === all[0]) t.equal(((await answer.json()) as { count: number }).count, 1)
  }
})

void test('production shows neither docs nor development', async (t) => {
  if (server === undefined) {
    t.pass('needs PostgreSQL: npm run test:postgres')
    return
  }
  const running = await start(t, {
    folder: temporaryFolder(t),
    env: {
      ...(await database(t)),
      ENVIRONMENT: 'production',
      HOST: '127.0.0.1',
      SECRET_KEY: 'only for tests, and long enough for that',
      FIRST_SUPERUSER_PASSWORD: 'not for anything real',
    },
  })
  for (const path of ['/', '/docs', '/api/v1/openapi.json', '/api/v1/private/users/'])
    t.equal((await fetch(running.url + path, { redirect: 'manual' })).status, 404, path)
  const live = await fetch(`${running.url}/health/live`)
  t.match(live.headers.get('strict-transport-security'), /max-age/)
  for (const line of running.output().trim().split('\n'))
    t.ok(JSON.parse(line), 'logs are JSON, and there is no banner')
})
