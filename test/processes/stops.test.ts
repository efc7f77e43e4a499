import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'tap'
import { type Running, databaseEnv, signIn, start, temporaryFolder } from '../support/process.ts'
import { UNFINISHED } from '../support/sockets.ts'

type Headers = Awaited<ReturnType<typeof signIn>>

void test('a service that is told to stop', async (t) => {
  const folder = temporaryFolder(t)
  const env = { ...(await databaseEnv(t)), LOG_LEVEL: 'warn' }

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
