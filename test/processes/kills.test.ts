import { connect } from 'node:net'
import { test } from 'tap'
import { type Running, databaseEnv, folderWith, launch, signIn, start } from '../support/process.ts'
import { address } from '../support/service.ts'
import { UNFINISHED } from '../support/sockets.ts'

type Headers = Awaited<ReturnType<typeof signIn>>

const WRITES = 1000

void test('a service that is migrated and killed', async (t) => {
  const folder = await folderWith(t, 'empty')
  const database = await databaseEnv(t)
  const env = { ...database, LOG_LEVEL: 'warn' }

  await t.test('npm run db:migrate brings an empty database up to date, and may run twice', async (t) => {
    for (const run of ['first', 'second']) {
      const migrating = await launch(t, { folder, env, script: 'scripts/migrate.ts' })
      t.equal(await migrating.exited, 0, `${run} run: ${migrating.output()}`)
      t.match(migrating.output(), 'up to date')
    }
  })

  await t.test('fault 32: kill -9 in the middle of writes loses none that was acknowledged', async (t) => {
    const running = await start(t, { folder, env })
    const acknowledged = await writeUntilKilled(running, await signIn(running))
    t.equal(await running.exited, 'SIGKILL')
    t.ok(acknowledged.size >= WRITES)

    const again = await start(t, { folder, env: { ...env, LOG_LEVEL: 'info' } })
    const kept = await everyRecipient(again, await signIn(again))
    const lost = [...acknowledged].filter((recipient) => !kept.has(recipient))
    t.same(lost, [])

    await t.test('a second SIGTERM ends the process at once, even during a request', async (t) => {
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
})

/** Eight clients queue mails until enough are acknowledged; then the process is killed while they go on. */
async function writeUntilKilled({ url, child }: Running, headers: Headers): Promise<Set<string>> {
  const acknowledged = new Set<string>()
  const write = async () => {
    for (;;) {
      const recipient = address()
      const query = `email_to=${encodeURIComponent(recipient)}`
      const answer = await fetch(`${url}/api/v1/utils/test-email/?${query}`, { method: 'POST', headers })
      if (answer.status !== 201) throw new Error(`refused: ${answer.status}`)
      acknowledged.add(recipient)
      if (acknowledged.size === WRITES) child.kill('SIGKILL')
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, write))
  return acknowledged
}

async function everyRecipient({ url }: Running, headers: Headers): Promise<Set<string>> {
  const recipients = new Set<string>()
  for (let skip = 0; ; skip += 1000) {
    const answer = await fetch(`${url}/api/v1/mails/?limit=1000&skip=${skip}`, { headers })
    const { data } = (await answer.json()) as { data: { recipient: string }[] }
    if (data.length === 0) return recipients
    for (const { recipient } of data) recipients.add(recipient)
  }
}
