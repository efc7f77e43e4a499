import { setTimeout as pause } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { test } from 'tap'
import { startMailServer } from '../support/mail-server.ts'
import { start, temporaryFolder } from '../support/process.ts'
import { type Query, ledger, readRows } from './support/ledger.ts'
import { live } from './support/lives.ts'
import { postOf } from './support/post.ts'
import { ROUNDS, between, figure, setScene, signInAsAdmin } from './support/scene.ts'

const PEOPLE = 6
/** As many at least are acknowledged, whatever the rounds. */
const WRITES = 1_000
/** The embedded database takes seconds to start, so it is killed less often. */
const EMBEDDED_ROUNDS = Math.max(2, Math.round(ROUNDS / 5))

void test('fault 32: kill -9 of the service at any moment, on PostgreSQL', async (t) => {
  const scene = await setScene(t)
  let service = await scene.startService()
  const load = await scene.live(() => service.url, PEOPLE)
  let rounds = 0
  for (; rounds < ROUNDS || scene.ledger.acknowledged() < WRITES; rounds++) {
    await pause(between(100, 1_000))
    service.child.kill('SIGKILL')
    await service.exited
    service = await scene.startService({ PORT: new URL(service.url).port })
  }
  await pause(500)
  await load.stop()
  await scene.audit(rounds, 'fault 32, PostgreSQL')
})

void test('fault 32: kill -9 of the service at any moment, on the embedded database', async (t) => {
  const mailServer = await startMailServer(t)
  const [book, post, folder] = [ledger(), postOf(mailServer), temporaryFolder(t)]
  const env = { RATE_LIMIT_ENABLED: 'false', LOG_LEVEL: 'warn', ...mailServer.env }
  const begin = () => start(t, { folder, env })
  let service = await begin()
  const world = { url: () => service.url, ledger: book, post, admin: await signInAsAdmin(service.url) }
  let rounds = 0
  for (; rounds < EMBEDDED_ROUNDS || book.acknowledged() < WRITES; rounds++) {
    const load = live(world, PEOPLE)
    await pause(between(500, 5_000))
    service.child.kill('SIGKILL')
    await Promise.all([service.exited, load.stop()])
    await endLeases(`${folder}/data/database`)
    service = await begin()
  }
  await untilQuiet(mailServer)
  service.child.kill('SIGTERM')
  t.equal(await service.exited, 0)

  const rows = await readRows(await queryOf(`${folder}/data/database`, t.teardown))
  const [audit, mails] = [book.audit(rows), post.audit(rows)]
  t.comment(`figure: ${figure('fault 32, embedded', rounds, audit, mails)}`)
  t.same([...audit.lost, ...audit.halves, ...audit.surprises, ...mails.lost, ...mails.doubled], [])
  t.ok(audit.acknowledged > 0 && mails.arrived > 0, 'there was something to lose')
})

async function queryOf(folder: string, teardown: (close: () => Promise<void>) => void): Promise<Query> {
  const client = await PGlite.create(folder)
  teardown(() => client.close())
  return async <Row>(text: string) => (await client.query<Row>(text)).rows
}

/** What a killed process had taken is due at once, and not in 2 minutes. */
async function endLeases(folder: string) {
  const client = await PGlite.create(folder)
  await client.exec('update emails set next_attempt_at = now() where sent_at is null and parked_at is null')
  await client.close()
}

/** Resolves when no mail came for longer than the outbox is looked at. */
async function untilQuiet({ mails }: { readonly mails: readonly unknown[] }) {
  for (let count = -1; count !== mails.length; await pause(6_000)) count = mails.length
}
