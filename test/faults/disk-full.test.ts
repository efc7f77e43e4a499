import { mkdirSync, rmSync, writeSync, openSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { startPostgres } from '../support/postgres.ts'
import { mayMount, mountDisk } from '../support/small-disk.ts'
import { ask } from './support/client.ts'
import { ANSWER_MS, RECOVERY_MS, setScene, signInAsAdmin, untilStatus } from './support/scene.ts'

const PEOPLE = 6
const DISK_MB = 160
const FULL_WITHIN_MS = 30_000
const FULL_FOR_MS = 2_000

void test('fault 30: the disk of PostgreSQL is full', mayMount, async (t) => {
  const disk = mountDisk(t, DISK_MB)
  const folder = join(disk, 'postgres')
  mkdirSync(folder)
  const scene = await setScene(t, { server: await startPostgres({}, folder) })
  const service = await scene.startService()
  const token = await signInAsAdmin(service.url)
  const load = await scene.live(service.url, PEOPLE)
  await pause(1_000)
  // What is written ahead has room; rows have none, as soon as their pages are full.
  await scene.sql`select pg_switch_wal()`
  await scene.sql`checkpoint`
  const filler = join(disk, 'filler')
  fill(filler)

  const since = load.replies.length
  const refused = () => load.quick.slice(since).filter(({ status }) => status === 503)
  for (const end = Date.now() + FULL_WITHIN_MS; refused().length === 0 && Date.now() < end;) await pause(50)
  t.ok(refused().length > 0, 'writes are refused')
  const reads = new Set<string>()
  for (const end = Date.now() + FULL_FOR_MS; Date.now() < end; await pause(50))
    for (const path of ['/api/v1/items/', '/api/v1/users/me', '/api/v1/users/', '/health/ready'])
      reads.add(`${path} ${(await ask(service.url + path, { token })).status}`)
  t.same(
    [...reads].filter((read) => !read.endsWith(' 200')),
    [],
    'reads go on',
  )
  const slowest = Math.max(...refused().map(({ ms }) => ms))
  t.ok(slowest < ANSWER_MS, 'refused soon')
  const count = refused().length

  rmSync(filler)
  const start = performance.now()
  await untilStatus(`${service.url}/health/ready`, 200, RECOVERY_MS)
  const title = 'there is room again'
  const write = () => ask(`${service.url}/api/v1/items/`, { method: 'POST', token, body: { title } })
  while ((await write()).status !== 200 && performance.now() - start < RECOVERY_MS) await pause(50)
  const back = performance.now() - start
  t.ok(back < RECOVERY_MS, 'it recovers unaided')
  await pause(500)
  await load.stop()
  await scene.audit(1, 'fault 30')
  t.comment(
    `figure: fault 30: ${count} refused while the disk was full, the slowest after ${Math.round(slowest)} ms; back after ${Math.round(back)} ms`,
  )
})

/** Writes until nothing fits any more. */
function fill(path: string) {
  const file = openSync(path, 'w')
  try {
    for (const size of [1 << 20, 1 << 12])
      try {
        for (;;) writeSync(file, Buffer.alloc(size))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
  } finally {
    closeSync(file)
  }
}
